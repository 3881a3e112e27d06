/**
 * The shape of a `tokenizer.json` as far as it is read here. Unknown component types are refused
 * where they are built.
 */

export interface AddedTokenJson {
  readonly id: number;
  readonly content: string;
  readonly single_word?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  /** Matched in the normalised text instead of the raw one. */
  readonly normalized?: boolean;
  readonly special?: boolean;
}

/** A normaliser, pre-tokeniser, model, post-processor or decoder: `type` and its options. */
export interface ComponentJson {
  readonly type?: string;
  readonly [option: string]: unknown;
}

/** A parsed `tokenizer.json`. */
export interface TokenizerJson {
  readonly added_tokens?: readonly AddedTokenJson[];
  readonly normalizer?: ComponentJson | null;
  readonly pre_tokenizer?: ComponentJson | null;
  readonly post_processor?: ComponentJson | null;
  readonly decoder?: ComponentJson | null;
  readonly model: ComponentJson;
}

/** What `tokenizer_config.json` says; special tokens are strings or objects with `content`. */
export interface TokenizerConfigJson {
  readonly tokenizer_class?: string;
  readonly model_max_length?: number;
  readonly [option: string]: unknown;
}
