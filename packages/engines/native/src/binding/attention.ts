/** Attention over packed batches: cpp/binding/attention.cc. */

type F32 = Float32Array;

/**
 * See `AttentionAttributes` of @peft/ops; every field is needed. `columns` of q is `heads·E`, of k
 * and v `keyValueHeads·E`.
 */
export interface AttentionOptions {
  readonly queryOffsets: Int32Array; // [B+1]
  readonly keyOffsets: Int32Array; // [B+1]
  /** Where the keys of each sequence begin `[B]`, if not at `keyOffsets`. Forward only. */
  readonly keyStarts?: Int32Array | undefined;
  /** Rows of k and v; with `keyStarts`. */
  readonly keyRows?: number | undefined;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number; // E
  readonly scale: number;
  readonly causal: boolean;
  readonly window: number;
  readonly softCap: number;
  /** With a bias only: `bias[h, biasIndex[j − i + biasOrigin]]`, j − i clipped to the table. */
  readonly biasIndex: Int32Array | null;
  readonly biasOrigin: number;
  /** Columns S of the bias table. */
  readonly biasColumns: number;
  readonly extra: number; // P
  /**
   * 0: none. The probability of query row n (of all), head h and key column j (extra keys first)
   * has the number (n·H + h)·L + j, low 32 bits, L being P + the longest key sequence of the batch.
   */
  readonly dropoutRate: number;
  readonly dropoutKey0: number;
  readonly dropoutKey1: number;
  /** Products with bf16 operands. */
  readonly bf16: boolean;
}

/**
 * See `DisentangledAttributes` of @peft/ops; both index tables are read at (query − key +
 * relativeOrigin), clipped to the table.
 */
export interface DisentangledOptions {
  readonly offsets: Int32Array; // [B+1]
  readonly heads: number;
  readonly headSize: number; // E
  readonly scale: number;
  readonly contentToPositionIndex: Int32Array;
  readonly positionToContentIndex: Int32Array;
  readonly relativeOrigin: number;
  /** Rows S of the position tables. */
  readonly positions: number;
  /** Numbered as in `AttentionOptions`. */
  readonly dropoutRate: number;
  readonly dropoutKey0: number;
  readonly dropoutKey1: number;
  readonly bf16: boolean;
}

/** Attention, disentangled attention and their gradients. */
export interface AttentionFunctions {
  /** Inputs as `PeftAttention`; absent ones are null. y `[Nq, H·E]`, logSumExp `[Nq, H]`. */
  attention(
    q: F32,
    k: F32,
    v: F32,
    bias: F32 | null,
    extraKeys: F32 | null,
    extraValues: F32 | null,
    y: F32,
    logSumExp: F32,
    options: AttentionOptions,
  ): void;
  /** dbias null where not needed; dextra… null where there are none. */
  attentionGradient(
    q: F32,
    k: F32,
    v: F32,
    bias: F32 | null,
    extraKeys: F32 | null,
    extraValues: F32 | null,
    y: F32,
    logSumExp: F32,
    dy: F32,
    dq: F32,
    dk: F32,
    dv: F32,
    dbias: F32 | null,
    dextraKeys: F32 | null,
    dextraValues: F32 | null,
    options: AttentionOptions,
  ): void;
  disentangledAttention(
    q: F32,
    k: F32,
    v: F32,
    positionKeys: F32 | null,
    positionQueries: F32 | null,
    y: F32,
    logSumExp: F32,
    options: DisentangledOptions,
  ): void;
  disentangledAttentionGradient(
    q: F32,
    k: F32,
    v: F32,
    positionKeys: F32 | null,
    positionQueries: F32 | null,
    y: F32,
    logSumExp: F32,
    dy: F32,
    dq: F32,
    dk: F32,
    dv: F32,
    dpositionKeys: F32 | null,
    dpositionQueries: F32 | null,
    options: DisentangledOptions,
  ): void;
}
