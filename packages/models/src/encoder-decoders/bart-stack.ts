/**
 * A stack of BART's kind (Lewis et al. 2020): positions from a table, blocks of attention (in the
 * decoder also to the encoder) and a feed-forward network, with the norm behind each residual sum or
 * in front of each branch.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { gatherRows } from '@peft/ops';
import type { ModelBatch, ModelRun } from '@peft/core';
import type { DescriptionBuilder } from '../description/describe.js';
import { attend } from '../parts/attend.js';
import { embedTokens, sum, type EmbeddedTokens } from '../parts/embed-tokens.js';
import { positionRows } from '../encoders/bert/roberta.js';
import type { BartConfig } from './bart-config.js';
import { fairseqTable, sinusoidalTable } from './sinusoidal-positions.js';

type StackName = 'encoder' | 'decoder';

/** @param path the stack's module. @param shared path of the embedding whose table it reads. */
export function describeBartStack(
  model: DescriptionBuilder,
  path: string,
  shared: string,
  config: BartConfig,
  stack: StackName,
): void {
  const { form, hiddenSize: D } = config;
  const word = `${path}.embed_tokens`;
  model.embedding(word, {
    role: 'embedding.word',
    rows: config.vocabularySize,
    size: D,
    tiedTo: shared,
  });
  model.sequence(word, { role: 'sequence', size: D, stack, embedding: shared });
  if (form.positions !== 'computed')
    model.embedding(`${path}.embed_positions`, {
      role: 'embedding.position',
      rows: config.maxPositions + form.positionOffset,
      size: D,
      init: form.positions === 'sinusoidal' ? sinusoidalTable : undefined,
    });
  for (let layer = 0; layer < config[stack].layers; layer += 1)
    describeBlock(model, `${path}.layers.${layer}`, config, stack, layer);
  if (form.hasEmbeddingNorm)
    model.layerNorm(`${path}.layernorm_embedding`, { role: 'norm.embedding', size: D });
  if (form.isPreNorm) model.layerNorm(`${path}.layer_norm`, { role: 'norm.final', size: D });
}

function describeBlock(
  model: DescriptionBuilder,
  block: string,
  config: BartConfig,
  stack: StackName,
  layer: number,
): void {
  const { hiddenSize: D } = config;
  const { heads, feedForwardSize: F } = config[stack];
  const attention = (name: string, kind: 'attention' | 'cross.attention') => {
    const path = `${block}.${name}`;
    const isCross = kind === 'cross.attention';
    model.attention(path, {
      role: kind,
      layer,
      heads,
      keyValueHeads: heads,
      headSize: D / heads,
      stack: isCross ? 'cross' : stack,
      index: layer,
    });
    for (const [module, part] of PROJECTIONS)
      model.linear(`${path}.${module}`, { role: `${kind}.${part}`, shape: [D, D], layer });
    model.layerNorm(`${path}_layer_norm`, {
      role: isCross ? 'norm.cross' : 'norm.attention',
      size: D,
      layer,
    });
    const branch = isCross ? 'cross-attention' : 'attention';
    model.sublayer(path, { role: `sublayer.${branch}`, layer, size: D, branch, stack });
  };
  attention('self_attn', 'attention');
  if (stack === 'decoder') attention('encoder_attn', 'cross.attention');
  model.linear(`${block}.fc1`, { role: 'ffn.up', shape: [F, D], layer });
  model.linear(`${block}.fc2`, { role: 'ffn.down', shape: [D, F], layer });
  model.layerNorm(`${block}.final_layer_norm`, { role: 'norm.ffn', size: D, layer });
  model.sublayer(`${block}.fc2`, { role: 'sublayer.ffn', layer, size: D, branch: 'ffn', stack });
}

/** As transformers lists them. */
const PROJECTIONS = [
  ['k_proj', 'key'],
  ['v_proj', 'value'],
  ['q_proj', 'query'],
  ['out_proj', 'output'],
] as const;

/** @returns each state, and the layout with virtual tokens. */
export function runBartStack(
  run: ModelRun,
  path: string,
  config: BartConfig,
  stack: StackName,
  tokens: NonNullable<ModelBatch['decoder']>,
  encoded?: ModelBatch['encoded'],
): { readonly states: Tensor2D[]; readonly offsets: Int32Array } {
  const word = `${path}.embed_tokens`;
  const embedded = embedTokens(
    run,
    { embedding: word, sequence: word, stack },
    tokens,
    config.tableScale,
  );
  const { offsets } = embedded;
  const { form, epsilon, dropout } = config;
  const placed = sum(embedded.x, positionsOf(run, path, config, embedded, tokens));
  const normed = form.hasEmbeddingNorm
    ? run.norm(`${path}.layernorm_embedding`, placed, epsilon)
    : placed;
  const states = [run.dropout(word, normed, dropout)];
  const first = stack === 'encoder' ? 0 : config.encoder.layers;
  for (let layer = 0; layer < config[stack].layers; layer += 1)
    states.push(
      run.layer(
        first + layer,
        encoded ? [states.at(-1)!, encoded.hidden] : [states.at(-1)!],
        (input, memory) =>
          runBlock(run, `${path}.layers.${layer}`, config, stack, input, {
            offsets,
            encoded: encoded && { hidden: memory!, offsets: encoded.offsets },
          }),
      ),
    );
  if (form.isPreNorm) states.push(run.norm(`${path}.layer_norm`, states.pop()!, epsilon));
  return { states, offsets };
}

/** Rows of the table of positions `[N, D]`. */
function positionsOf(
  run: ModelRun,
  path: string,
  { form, hiddenSize, paddingId }: BartConfig,
  tokens: EmbeddedTokens,
  { inputIds, offsets, inputsEmbeds }: NonNullable<ModelBatch['decoder']>,
): Tensor2D {
  if (form.positions !== 'computed')
    return run.embed(
      `${path}.embed_positions`,
      tokens.positions.map((position) => position + form.positionOffset),
    );
  const rows = positionRows(tokens, paddingId, { inputIds, offsets, inputsEmbeds });
  const needed = rows.reduce((most, row) => Math.max(most, row + 1), 64);
  const length = 2 ** Math.ceil(Math.log2(needed));
  const [table] = run.constants(`sinusoidal positions ${length} ${paddingId}`, () => [
    tf.tensor2d(fairseqTable(length, hiddenSize, paddingId), [length, hiddenSize]),
  ]);
  return gatherRows(table as Tensor2D, rows);
}

function runBlock(
  run: ModelRun,
  block: string,
  config: BartConfig,
  stack: StackName,
  x: Tensor2D,
  { offsets, encoded }: { readonly offsets: Int32Array; encoded?: ModelBatch['encoded'] },
): Tensor2D {
  const { form, epsilon, dropout } = config;
  const { heads } = config[stack];
  /** N(x + dropout(make(x))), or x + dropout(make(N(x))) */
  const branch = (
    path: string,
    norm: string,
    input: Tensor2D,
    make: (rows: Tensor2D) => Tensor2D,
  ): Tensor2D => {
    const normed = (rows: Tensor2D) => run.norm(norm, rows, epsilon);
    const read = form.isPreNorm ? normed(input) : input;
    return run.sublayer(path, {
      input: read,
      output: run.dropout(path, make(read), dropout),
      residual: input,
      offsets,
      norm: form.isPreNorm ? undefined : normed,
    });
  };
  const attention = (name: string, input: Tensor2D, memory?: ModelBatch['encoded']): Tensor2D => {
    const path = `${block}.${name}`;
    return branch(path, `${path}_layer_norm`, input, (rows) => {
      const project = (from: Tensor2D): readonly [Tensor2D, Tensor2D] => [
        run.linear(`${path}.k_proj`, from),
        run.linear(`${path}.v_proj`, from),
      ];
      const q = run.linear(`${path}.q_proj`, rows);
      const [k, v] = memory
        ? run.past.remember(path, memory.offsets, () => project(memory.hidden))
        : project(rows);
      const context = attend(run, path, q, k, v, {
        offsets,
        keyOffsets: memory?.offsets,
        heads,
        causal: stack === 'decoder' && !memory,
        hidden: rows,
        dropoutRate: config.attentionDropout,
      });
      return run.linear(`${path}.out_proj`, context);
    });
  };
  const attended = attention('self_attn', x);
  const crossed = encoded ? attention('encoder_attn', attended, encoded) : attended;
  return branch(`${block}.fc2`, `${block}.final_layer_norm`, crossed, (rows) => {
    const inner = run.linear(`${block}.fc1`, rows, config.activation); // [N, F]
    return run.linear(`${block}.fc2`, run.dropout(`${block}.fc1`, inner, config.activationDropout));
  });
}
