/** How many tokens an input may have. */

/** The entries of a model's `config.json` that bound the length of its input. */
export interface PositionConfig {
  readonly model_type?: string;
  readonly max_position_embeddings?: number;
  /** GPT-2's and its kin's name for it; T5 has one that bounds nothing. */
  readonly n_positions?: number;
  readonly relative_attention_num_buckets?: number;
  readonly relative_attention?: boolean;
  readonly position_embedding_type?: string;
  readonly pad_token_id?: number | null;
}

/**
 * Families that number positions from `pad_token_id` + 1 and so use that many rows of the position
 * table for nothing.
 */
const POSITIONS_AFTER_PADDING = new Set([
  'roberta',
  'xlm-roberta',
  'xlm-roberta-xl',
  'camembert',
  'longformer',
  'mpnet',
  'data2vec-text',
  'roberta-prelayernorm',
]);

/** Rows of the position table of families whose `config.json` may leave them out. */
const USUAL_POSITIONS: Readonly<Record<string, number>> = {
  gpt2: 1024,
  albert: 512,
  bert: 512,
  distilbert: 512,
  electra: 512,
  roberta: 512,
};

/**
 * min(wanted, limit of the model): the tokeniser's `model_max_length` for models with relative
 * positions or none in the configuration, else the position table's length less the rows that
 * RoBERTa-like models leave unused.
 *
 * @param wanted AutoGluon's `max_text_len`, 512 by default there; undefined or ≤ 0 for the model's
 *   own limit.
 * @returns tokens, special ones counted; Infinity if nothing bounds them.
 */
export function maximumTextLength(
  wanted: number | undefined,
  config: PositionConfig,
  modelMaxLength: number,
): number {
  const {
    model_type = '',
    n_positions,
    max_position_embeddings: positions = n_positions ?? USUAL_POSITIONS[model_type],
    relative_attention,
    relative_attention_num_buckets,
    position_embedding_type = '',
    pad_token_id,
  } = config;
  const relative =
    relative_attention === true ||
    relative_attention_num_buckets !== undefined ||
    position_embedding_type.includes('relative');
  let limit = modelMaxLength;
  if (!relative && positions !== undefined && positions > 0) {
    limit = POSITIONS_AFTER_PADDING.has(model_type)
      ? positions - (pad_token_id ?? 1) - 1
      : positions;
  }
  return wanted === undefined || wanted <= 0 ? limit : Math.min(wanted, limit);
}
