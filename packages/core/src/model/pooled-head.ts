/**
 * The head that AutoGluon puts on any backbone: one linear layer on the first token's (or the mean)
 * hidden state. A decoder's first token has seen no other: there, as in transformers, the head
 * reads the last.
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
        // transformers' classifiers of decoders are this head without a bias
        aliases: isDecoder(backbone) && head.pooling !== 'mean' ? ['score.weight'] : undefined,
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
  const output = {
    ...architecture.forward(run, config, batch),
    isCausal: isDecoder(run.description),
  };
  const pooled = pool(output, head.pooling ?? 'first');
  return { ...output, pooled, logits: run.linear('head', pooled) };
}

/**
 * One state for each sequence.
 * @param pooling `mean`: that of its rows. `first`: its first row, where rows have seen the whole
 *   sequence; of a decoder (`output.isCausal`), the last row, the only one that has.
 * @returns `[B, D]`
 */
export function pool(
  { hidden, offsets, isCausal = false }: Pick<ModelOutput, 'hidden' | 'offsets' | 'isCausal'>,
  pooling: 'first' | 'mean',
): Tensor2D {
  if (pooling === 'mean') return meanPool(hidden, offsets);
  return gatherRows(
    hidden,
    isCausal ? offsets.slice(1).map((end) => end - 1) : offsets.slice(0, -1),
  );
}

/** Whether a model is a decoder alone: each token sees those in front of it. */
export const isDecoder = ({ layers }: Pick<ModelDescription, 'layers'>): boolean =>
  layers.encoder === 0 && layers.decoder > 0;
