/**
 * The head that AutoGluon puts on any backbone: one linear layer on the first token's (or the mean)
 * hidden state.
 */
import type { Tensor2D } from '@tensorflow/tfjs';
import { gatherRows, meanPool } from '@peft/ops';
import { xavierUniform, zeros } from '../description/initializers.js';
import type { HeadOptions, ModelDescription } from '../description/model-description.js';
import type { Architecture, ModelBatch, ModelOutput } from './architecture.js';
import type { ModelRun } from './model-run.js';

type PooledHead = Extract<HeadOptions, { kind: 'pooled-linear' }>;

/**
 * The backbone's description with `head.weight [C, D]` (Xavier uniform) and `head.bias [C]` (zeros)
 * at its end.
 */
export function describePooled<Config>(
  architecture: Architecture<Config>,
  config: Config,
  head: PooledHead,
): ModelDescription {
  const backbone = architecture.describe(config, { kind: 'none' });
  return {
    ...backbone,
    head,
    parameters: [
      ...backbone.parameters,
      {
        name: 'head.weight',
        shape: [head.outputs, backbone.hiddenSize],
        use: 'matrix',
        init: xavierUniform,
      },
      { name: 'head.bias', shape: [head.outputs], use: 'vector', init: zeros },
    ],
    sites: [
      ...backbone.sites,
      {
        kind: 'linear',
        path: 'head',
        role: 'head',
        inFeatures: backbone.hiddenSize,
        outFeatures: head.outputs,
        weight: 'head.weight',
        bias: 'head.bias',
        isOutputHead: true,
      },
    ],
    headModules: ['head'],
  };
}

/** logits `[B, C]` = pooled·Wᵀ + b. Virtual tokens in front count as tokens, as in PEFT. */
export function forwardPooled<Config>(
  architecture: Architecture<Config>,
  run: ModelRun,
  config: Config,
  batch: ModelBatch,
  head: PooledHead,
): ModelOutput {
  const output = architecture.forward(run, config, batch);
  const pooled = pool(output, head.pooling ?? 'first');
  return { ...output, pooled, logits: run.linear('head', pooled) };
}

/** First row or mean of each sequence. `[B, D]` */
export function pool(
  output: Pick<ModelOutput, 'hidden' | 'offsets'>,
  pooling: 'first' | 'mean',
): Tensor2D {
  return pooling === 'mean'
    ? meanPool(output.hidden, output.offsets)
    : gatherRows(output.hidden, output.offsets.slice(0, -1));
}
