/** DeBERTa's attention at a site: contents, and the table of relative embeddings projected to position keys and queries. */
import type { Tensor2D } from '@tensorflow/tfjs';
import type { ModelRun } from '@peft/core';
import { debertaRelativeIndices, disentangledAttention, longestSequence, type RelativeIndices } from '@peft/ops';
import type { DebertaConfig } from './deberta-v2.js';

const NO_POSITIONS: RelativeIndices = Object.freeze({ contentToPositionIndex: new Int32Array(1), positionToContentIndex: new Int32Array(1), relativeOrigin: 0 });

/** The table of relative embeddings `[2·span, D]`, normed where the config says so. @param path the encoder. */
export function relativeTable(run: ModelRun, path: string, { relative, epsilon }: DebertaConfig): Tensor2D | undefined {
  if (!relative) return undefined;
  const rows = 2 * (relative.positionBuckets > 0 ? relative.positionBuckets : relative.maxRelativePositions);
  return run.sharedRows(() => {
    const table = run.embed(`${path}.rel_embeddings`, Int32Array.from({ length: rows }, (_, i) => i));
    return relative.isNormed ? run.norm(`${path}.LayerNorm`, table, epsilon) : table;
  });
}

/** @param path `…attention.self`. @param x `[N, D]`. @param table of relative embeddings. @returns `[N, D]` */
export function disentangled(run: ModelRun, path: string, config: DebertaConfig, x: Tensor2D, table: Tensor2D | undefined, offsets: Int32Array): Tensor2D {
  const { heads, hiddenSize, relative, contentToPosition, positionToContent, sharesProjections } = config;
  const [q, k, v] = ['query_proj', 'key_proj', 'value_proj'].map((part) => run.linear(`${path}.${part}`, x)) as [Tensor2D, Tensor2D, Tensor2D];
  const terms = 1 + Number(contentToPosition) + Number(positionToContent);
  const rows = table && run.dropout(`${path}.positions`, table, config.hiddenDropout);
  const project = (own: string, shared: string): Tensor2D => run.sharedRows(() => run.linear(`${path}.${sharesProjections ? shared : own}`, rows!));
  return disentangledAttention(q, k, v, {
    offsets,
    heads,
    scale: 1 / Math.sqrt((hiddenSize / heads) * terms),
    indices: relative ? debertaRelativeIndices({ ...relative, maxLength: longestSequence(offsets) }) : NO_POSITIONS,
    ...(rows && contentToPosition && { positionKeys: project('pos_key_proj', 'key_proj') }),
    ...(rows && positionToContent && { positionQueries: project('pos_query_proj', 'query_proj') }),
    ...(run.training && config.attentionDropout > 0 && { dropout: { rate: config.attentionDropout, key: run.randomKey(path, 'attention') } }),
  });
}
