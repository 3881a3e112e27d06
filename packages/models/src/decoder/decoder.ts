/**
 * The decoder that Llama (Touvron et al. 2023) set the form of, in the variations that its
 * relatives make of it (`decoder-form.ts`): blocks of causal attention and a feed-forward network,
 *
 *   a = x + attention(N₁(x)), y = a + W_down·( f(W_gate·n) ⊙ W_up·n ), n = N₂(a)
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor2D } from '@tensorflow/tfjs';
import { freezeTensor, gatedActivation, gatherRows, isFrozenTensor } from '@peft/ops';
import type { Architecture, ModelBatch, ModelOutput, ModelRun } from '@peft/core';
import { lastTokenRows } from '../parts/classification-head.js';
import { embedTokens, sum, type EmbeddedTokens } from '../parts/embed-tokens.js';
import { languageModelOutput } from '../parts/lm-head.js';
import { settleOutputLayer } from '../parts/own-output-layer.js';
import { within } from '../description/describe.js';
import { alibiBias } from './alibi-bias.js';
import type { DecoderConfig } from './decoder-config.js';
import { decoderAttention, type DecoderAttentionOptions } from './decoder-attention.js';
import { blockOf, describeDecoder, stackOf } from './describe-decoder.js';
import { repeatDecoderBlocks } from './repeat-blocks.js';
import { runExperts } from './experts.js';
import type { ExpertsConfig } from './experts-config.js';
import { latentAttention } from './latent-attention.js';
import { balancingLoss } from './router.js';
import { ropeTablesFor } from './rope-tables-for.js';

/** What the families of this form share beside their config. */
export const decoderParts: Pick<
  Architecture<DecoderConfig>,
  'heads' | 'settle' | 'describe' | 'repeatBlocks' | 'forward'
> = {
  heads: ['causal-lm', 'sequence-classification', 'token-classification'],
  settle: (config, store, warn) => settleOutputLayer(config, store, outputNames(config), warn),
  describe: describeDecoder,
  repeatBlocks: repeatDecoderBlocks,

  forward(run, config, batch) {
    const stack = stackOf(config, run.description.head);
    const tokens = embed(run, stack, config, batch);
    const { offsets } = tokens;
    const optionsOf = blockOptions(run, config, tokens);
    const states = [tokens.x];
    const routed: Tensor2D[] = [];
    for (let layer = 0; layer < config.layers; layer += 1) {
      const joined = run.layer(layer, [states.at(-1)!], (input) => {
        const beside: Tensor2D[] = [];
        const y = runBlock(run, blockOf(config, stack, layer), config, input, {
          ...optionsOf(layer),
          onRouted: (logits) => beside.push(logits),
        });
        return config.experts?.lossWeight && beside.length ? together([y, ...beside]) : y;
      });
      const [state, logits] = apart(joined, config);
      states.push(state!);
      if (logits) routed.push(logits);
    }
    const hidden = finish(run, stack, config, states.pop()!);
    const output: ModelOutput = {
      hidden,
      offsets,
      hiddenStates: run.wantsHiddenStates ? [...states, hidden] : undefined,
    };
    return {
      ...output,
      ...decoderHead(run, config, output, batch.inputsEmbeds ? undefined : batch.inputIds),
      routerLoss: routed.length ? routerLoss(config, routed) : undefined,
    };
  },
};

/** A block's state and what its router made, which leave the block as one tensor. */
function together(parts: readonly Tensor2D[]): Tensor2D {
  const joined = tf.concat([...parts], 1);
  return parts.every(isFrozenTensor) ? freezeTensor(joined) : joined;
}
function apart(joined: Tensor2D, { hiddenSize: D, experts }: DecoderConfig): Tensor2D[] {
  if (joined.shape[1] === D) return [joined];
  const parts = tf.split(joined, [D, experts!.count], 1) as Tensor2D[];
  return isFrozenTensor(joined) ? parts.map((part) => freezeTensor(part)) : parts;
}

const routerLoss = ({ experts }: DecoderConfig, routed: readonly Tensor2D[]): Scalar =>
  tf.mul<Scalar>(balancingLoss(routed, experts!.perToken), experts!.lossWeight);

/** Where checkpoints keep the output layer and the table, also those of texts and images. */
function outputNames({ form }: DecoderConfig): Parameters<typeof settleOutputLayer>[2] {
  const word = within(form.stack, `${form.word}.weight`);
  return {
    output: [
      ...[form.output, ...form.outputAliases].map((module) => `${module}.weight`),
      `language_model.${form.output}.weight`,
    ],
    table: [
      `${form.prefix}.${word}`,
      word,
      `language_model.${form.prefix}.${word}`,
      `${form.prefix}.language_model.${word}`,
    ],
  };
}

/** The first state: rows of the table, with positions, a projection or a norm where there are. */
function embed(
  run: ModelRun,
  stack: string,
  config: DecoderConfig,
  batch: ModelBatch,
): EmbeddedTokens {
  const word = within(stack, config.form.word);
  const tokens = embedTokens(
    run,
    { embedding: word, sequence: word, stack: 'decoder' },
    batch,
    config.tableScale,
  );
  const { learnedPositions, projections, embeddingNorm } = config;
  let x = scaled(tokens.x, config.embeddingScale);
  if (projections) x = run.linear(within(stack, projections.in), x);
  if (learnedPositions)
    x = sum(
      x,
      run.embed(
        within(stack, learnedPositions.path),
        tokens.positions.map((position) => position + learnedPositions.offset),
      ),
    );
  if (embeddingNorm) x = run.norm(within(stack, embeddingNorm), x, config.epsilon);
  return { ...tokens, x: run.dropout(word, x, config.embeddingDropout) };
}

/** What each block's attention needs, made once for the batch. */
function blockOptions(
  run: ModelRun,
  config: DecoderConfig,
  { offsets, positions }: EmbeddedTokens,
): (layer: number) => BlockOptions {
  const { rope, localRope = rope, slopes } = config;
  const everywhere = rope && ropeTablesFor(run, config, rope, positions, offsets);
  const nearby =
    localRope && localRope !== rope
      ? ropeTablesFor(run, config, localRope, positions, offsets)
      : everywhere;
  const bias = slopes && alibiBias(run, slopes, positions);
  return (layer) => {
    const window = config.windows[layer]!;
    const tables = window > 0 ? nearby : everywhere;
    return {
      offsets,
      positions,
      window,
      bias,
      tables: config.turns[layer]! ? tables : undefined,
      interleaved: rope?.interleaved ?? false,
      experts: config.experts?.isSparse[layer] ? config.experts : undefined,
    };
  };
}

interface BlockOptions extends DecoderAttentionOptions {
  /** Where the feed-forward network is one of experts. */
  readonly experts: ExpertsConfig | undefined;
}

function runBlock(
  run: ModelRun,
  block: string,
  config: DecoderConfig,
  x: Tensor2D,
  options: BlockOptions & { readonly onRouted: (logits: Tensor2D) => void },
): Tensor2D {
  const { form, epsilon, residualScale, residualDropout } = config;
  const { norms, isPostNorm } = form;
  const norm = (name: string | undefined, rows: Tensor2D): Tensor2D =>
    name === undefined ? rows : run.norm(`${block}.${name}`, rows, epsilon, form.norm.gammaOffset);
  /** residual + scale·N_after(dropout(make(N_before(input)))) */
  const branch = (
    path: string,
    before: string | undefined,
    after: string | undefined,
    { input, residual, rate }: { input: Tensor2D; residual?: Tensor2D; rate: number },
    make: (normed: Tensor2D) => Tensor2D,
  ): Tensor2D => {
    const normed = isPostNorm ? input : norm(before, input);
    return run.sublayer(path, {
      input: normed,
      output: scaled(norm(after, run.dropout(path, make(normed), rate)), residualScale),
      residual: residual ?? (form.addsToNormed ? normed : input),
      offsets: options.offsets,
      norm: isPostNorm ? (rows) => norm(before, rows) : undefined,
    });
  };
  const attention = `${block}.${form.attention.path}`;
  const attended = branch(
    attention,
    norms.attention,
    norms.attentionOutput,
    { input: x, rate: residualDropout },
    (normed) =>
      config.latent
        ? latentAttention(run, attention, config, config.latent, normed, options)
        : decoderAttention(run, attention, config, normed, options),
  );
  return branch(
    `${block}.${form.ffn.sublayer}`,
    norms.ffn ?? (form.isParallel ? norms.attention : undefined),
    norms.ffnOutput,
    {
      input: form.isParallel ? x : attended,
      residual: form.isParallel ? attended : undefined,
      rate: config.ffnDropout ?? residualDropout,
    },
    (normed) =>
      options.experts
        ? runExperts(run, block, config, options.experts, normed, options.onRouted)
        : feedForward(run, within(block, form.ffn.path), config, normed),
  );
}

/** W_down·f(W_up·x), or with a gate W_down·( f(W_gate·x) ⊙ W_up·x ) */
export function feedForward(
  run: ModelRun,
  path: string,
  config: DecoderConfig,
  x: Tensor2D,
): Tensor2D {
  const { kind, gate, up, down } = config.form.ffn;
  const project = (name: string) => run.linear(within(path, name), x);
  const inner = (): Tensor2D => {
    if (kind === 'plain') return run.linear(within(path, up), x, config.activation);
    const [gates, values] =
      kind === 'gated'
        ? [project(gate), project(up)]
        : (tf.split(project(up), 2, 1) as [Tensor2D, Tensor2D]);
    return gatedActivation(config.activation, gates, values);
  };
  return run.linear(within(path, down), inner());
}

/** The last state: normed and projected, where the family does. */
function finish(run: ModelRun, stack: string, config: DecoderConfig, x: Tensor2D): Tensor2D {
  const { form, projections } = config;
  const normed = config.hasFinalNorm
    ? run.norm(within(stack, form.finalNorm), x, config.epsilon, form.norm.gammaOffset)
    : x;
  return projections ? run.linear(within(stack, projections.out), normed) : normed;
}

function scaled(rows: Tensor2D, scale: number): Tensor2D {
  if (scale === 1) return rows;
  const product = tf.mul<Tensor2D>(rows, scale);
  return isFrozenTensor(rows) ? freezeTensor(product) : product;
}

/**
 * Logits of the head: of the vocabulary, of each token's class, or of each sequence's at its last
 * token.
 */
function decoderHead(
  run: ModelRun,
  config: DecoderConfig,
  { hidden, offsets }: ModelOutput,
  inputIds: Int32Array | undefined,
): Pick<ModelOutput, 'logits' | 'outputLayer'> {
  const { head } = run.description;
  const { form, logitScale: scale, logitCap: softCap } = config;
  if (head.kind === 'causal-lm')
    return languageModelOutput(run, form.output, hidden, { scale, softCap });
  if (head.kind === 'token-classification')
    return {
      logits: run.linear(
        form.tokenHead,
        run.dropout(form.tokenHead, hidden, config.classifierDropout),
      ),
    };
  if (head.kind !== 'sequence-classification') return {};
  const hasAllIds = inputIds?.length === hidden.shape[0]; // virtual tokens have none
  return {
    logits: run.linear(
      'score',
      gatherRows(
        hidden,
        hasAllIds ? lastTokenRows(offsets, inputIds, config.paddingId) : lastTokenRows(offsets),
      ),
    ),
  };
}
