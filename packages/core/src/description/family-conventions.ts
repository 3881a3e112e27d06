/**
 * What other libraries call a family's parts where its sites do not tell; each family brings its
 * own, by `model_type`.
 */

/** What adapter-hub's files and transformers' classes are called. */
export interface AdapterHubNames {
  /** How the classes in transformers begin: `Bert`, with `Model` behind it. */
  readonly className: string;
  /** The class with a language model's head. Default: the name, and `ForCausalLM`. */
  readonly causalClass?: string;
  /** The class of an encoder-decoder's encoder alone. Default: as the bare model's. */
  readonly encoderClass?: string;
  /** Its sublayers are modules that hold their adapters. Default: the block holds them all. */
  readonly hasSublayerModules?: boolean;
  /** It names the two feed-forward projections the wrong way round. */
  readonly swapsFeedForward?: boolean;
  /** What the prefix of the only stack is called. Default `self_prefix`. */
  readonly prefixName?: string;
}

/** What others call a family's modules, where that does not follow from its sites. */
export interface FamilyConventions {
  /**
   * Query and value projections as PEFT names them, which LoRA and its relatives take by default.
   * Default: by their roles.
   */
  readonly queryValueTargets?: readonly string[];
  /** Default: classes begin with the `model_type`, blocks hold the adapters. */
  readonly adapterHub?: AdapterHubNames;
}
