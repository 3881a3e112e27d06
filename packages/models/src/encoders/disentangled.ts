/**
 * DeBERTa's attention at a site: contents, and the table of relative embeddings projected to
 * position keys and queries.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import type { ModelRun } from '@peft/core';
import { PeftError } from '@peft/errors';
import {
  debertaRelativeIndices,
  disentangledAttention,
  longestSequence,
  type DisentangledOptions,
  type RelativeIndices,
} from '@peft/ops';
import { spanOf, type DebertaConfig } from './deberta-config.js';

const NO_POSITIONS: RelativeIndices = Object.freeze({
  contentToPositionIndex: new Int32Array(1),
  positionToContentIndex: new Int32Array(1),
  relativeOrigin: 0,
});

/**
 * The table of relative embeddings `[2·span, D]`, normed where the config says so.
 * @param path the encoder.
 */
export function relativeTable(
  run: ModelRun,
  path: string,
  { relative, epsilon }: DebertaConfig,
): Tensor2D | undefined {
  if (!relative) return undefined;
  const rows = 2 * spanOf(relative);
  return run.sharedRows(() => {
    const table = run.embed(
      `${path}.rel_embeddings`,
      Int32Array.from({ length: rows }, (_, i) => i),
    );
    return relative.isNormed ? run.norm(`${path}.LayerNorm`, table, epsilon) : table;
  });
}

/**
 * @param path `…attention.self`.
 * @param x `[N, D]`.
 * @param table of relative embeddings.
 * @returns `[N, D]`
 */
export function disentangled(
  run: ModelRun,
  path: string,
  config: DebertaConfig,
  x: Tensor2D,
  table: Tensor2D | undefined,
  offsets: Int32Array,
): Tensor2D {
  const { heads, hiddenSize, relative, contentToPosition, positionToContent, sharesProjections } =
    config;
  const [q, k, v] = ['query_proj', 'key_proj', 'value_proj'].map((part) =>
    run.linear(`${path}.${part}`, x),
  ) as [Tensor2D, Tensor2D, Tensor2D];
  if (run.layouts.attended(offsets))
    throw new PeftError(
      'PEFT_BATCH_PADDING',
      `${path}: padding rows do not go with an attention that counts positions.`,
      { hint: 'leave the padding out' },
    );
  const terms = 1 + Number(contentToPosition) + Number(positionToContent);
  const rows = table && run.dropout(`${path}.positions`, table, config.hiddenDropout);
  const project = (own: string, shared: string): Tensor2D =>
    run.sharedRows(() => run.linear(`${path}.${sharesProjections ? shared : own}`, rows!));
  return disentangledAttention(q, k, v, {
    offsets,
    heads,
    scale: 1 / Math.sqrt((hiddenSize / heads) * terms),
    indices: relative
      ? debertaRelativeIndices({ ...relative, maxLength: longestSequence(offsets) })
      : NO_POSITIONS,
    positionKeys: rows && contentToPosition ? project('pos_key_proj', 'key_proj') : undefined,
    positionQueries:
      rows && positionToContent ? project('pos_query_proj', 'query_proj') : undefined,
    extra: extraOf(run, path, x, offsets),
    dropout:
      run.training && config.attentionDropout > 0
        ? { rate: config.attentionDropout, key: run.randomKey(path, 'attention') }
        : undefined,
  });
}

/**
 * What adapters put beside the sequences; the site admits no keys that stand for earlier tokens.
 */
function extraOf(
  run: ModelRun,
  path: string,
  hidden: Tensor2D,
  offsets: Int32Array,
): DisentangledOptions['extra'] {
  const extras = run.extraKeyValues(path, hidden, offsets);
  if (extras.length === 0) return undefined;
  const perSequence = extras.some((extra) => extra.perSequence);
  const sequences = offsets.length - 1;
  if (!perSequence)
    return {
      keys: tf.concat(
        extras.map(({ keys }) => keys),
        0,
      ),
      values: tf.concat(
        extras.map(({ values }) => values),
        0,
      ),
    };
  const joined = (which: 'keys' | 'values'): Tensor2D => {
    const own = extras.map((extra) =>
      tf.reshape(extra.perSequence ? extra[which] : tf.tile(extra[which], [sequences, 1]), [
        sequences,
        -1,
      ]),
    ); // [B, P·H·E]
    return tf.reshape(tf.concat(own, 1), [-1, extras[0]!.keys.shape[1]]);
  };
  return { keys: joined('keys'), values: joined('values'), perSequence };
}
