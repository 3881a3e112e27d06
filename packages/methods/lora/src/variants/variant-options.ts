/** Options of LoRA's variants that are more than a switch. */

/** Weights of KaSA's two terms of the loss. */
export interface KasaTerms {
  /** β of the singular values. PEFT's default: 1e-4. */
  readonly beta: number;
  /** γ of the orthogonality of A and B. PEFT's default: 1e-3. */
  readonly gamma: number;
}

/** Where BD-LoRA's blocks are. */
export interface BlockDiagonal {
  /** A is block-diagonal where a layer's path holds one of these. Default: none. */
  readonly a?: readonly string[];
  /** B is. Default: none. */
  readonly b?: readonly string[];
  /** n. */
  readonly blocks: number;
  /** Refuse layers that neither list names. Default true. */
  readonly strict?: boolean;
}
