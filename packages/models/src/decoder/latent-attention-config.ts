/** Widths of multi-head latent attention (DeepSeek-V2, section 2.1). */
export interface LatentAttentionConfig {
  /** 0: queries are projected at once. */
  readonly queryRank: number;
  readonly keyValueRank: number;
  /** Columns of a head's queries and keys that turn, and that do not. */
  readonly turning: number;
  readonly still: number;
  /** Columns of a head's values. */
  readonly valueSize: number;
  readonly hasBias: boolean;
}
