/**
 * How a family's decoder is put together, as data: what its modules are called and in which order
 * transformers lists them, which norms a block has, and where they stand.
 */

/** What norms are: `gammaOffset` is added to γ (Gemma, Nemotron: 1). */
export interface NormForm {
  readonly variant: 'rms' | 'layer';
  readonly bias: boolean;
  readonly gammaOffset: number;
}

/**
 * One projection each for queries, keys and values, or one for all. The columns of a fused one are
 * three blocks (`blocks`), or per key head its queries, its key and its value (`groups`).
 */
export interface AttentionForm {
  readonly path: string;
  readonly layout: 'separate' | 'blocks' | 'groups';
  readonly query: string;
  readonly key: string;
  readonly value: string;
  /** Of the fused projection. */
  readonly fused: string;
  readonly output: string;
  /** Projections as transformers lists them. */
  readonly order: readonly ('query' | 'key' | 'value' | 'fused' | 'output')[];
  readonly norms?: QueryKeyNorms;
}

/**
 * Norms of queries and keys: one of all columns, one of each head's, or one that each head has of
 * its own.
 */
export interface QueryKeyNorms {
  readonly query: string;
  readonly key: string;
  readonly over: 'all' | 'head' | 'own-head';
  readonly norm: NormForm;
}

/** W_down·f(W_up·x), or with a gate W_down·( f(W_gate·x) ⊙ W_up·x ). */
export interface FeedForwardForm {
  /** Of the module that holds the projections, or empty where the block does. */
  readonly path: string;
  /** Where the branch ends: the sublayer site. */
  readonly sublayer: string;
  readonly kind: 'gated' | 'fused-gated' | 'plain';
  readonly gate: string;
  readonly up: string;
  readonly down: string;
}

/** A norm that reads a branch's input or its output. */
export type BlockNorm = 'attention' | 'attentionOutput' | 'ffn' | 'ffnOutput';

/** What a decoder's modules are called, and in which order its blocks run them. */
export interface DecoderForm {
  /** Class prefix in models with a head. */
  readonly prefix: string;
  /** The module in the bare model that holds everything (OPT: `decoder`). */
  readonly stack: string;
  readonly word: string;
  readonly blocks: string;
  readonly finalNorm: string;
  readonly output: string;
  readonly outputHasBias: boolean;
  /** What checkpoints call the output layer beside its module's name. */
  readonly outputAliases: readonly string[];
  /** Transformers lists the last norm in front of the blocks. */
  readonly listsFinalNormFirst: boolean;
  /** Head for classes of tokens. */
  readonly tokenHead: 'score' | 'classifier';
  readonly norm: NormForm;
  readonly norms: Partial<Readonly<Record<BlockNorm, string>>>;
  readonly attention: AttentionForm;
  readonly ffn: FeedForwardForm;
  /** A block's parts as transformers lists them. */
  readonly order: readonly ('self' | 'feedForward' | BlockNorm)[];
  /** Both branches read the block's input: y = x + attention(N₁(x)) + feedForward(N₂(x)). */
  readonly isParallel: boolean;
  /** Norms stand behind the residual sums: a = N₁(x + attention(x)) (OPT 350M). */
  readonly isPostNorm: boolean;
  /** The residual is what the norm made: a = N₁(x) + attention(N₁(x)) (a BLOOM option). */
  readonly addsToNormed: boolean;
}

export const RMS_NORM: NormForm = { variant: 'rms', bias: false, gammaOffset: 0 };
export const LAYER_NORM: NormForm = { variant: 'layer', bias: true, gammaOffset: 0 };

const SEPARATE: AttentionForm = {
  path: 'self_attn',
  layout: 'separate',
  query: 'q_proj',
  key: 'k_proj',
  value: 'v_proj',
  fused: 'qkv_proj',
  output: 'o_proj',
  order: ['query', 'key', 'value', 'output'],
};

/** Llama's form, which the others are told by their differences from. */
export const LLAMA_FORM: DecoderForm = {
  prefix: 'model',
  stack: '',
  word: 'embed_tokens',
  blocks: 'layers',
  finalNorm: 'norm',
  output: 'lm_head',
  outputHasBias: false,
  outputAliases: [],
  listsFinalNormFirst: false,
  tokenHead: 'score',
  norm: RMS_NORM,
  norms: { attention: 'input_layernorm', ffn: 'post_attention_layernorm' },
  attention: SEPARATE,
  ffn: {
    path: 'mlp',
    sublayer: 'mlp',
    kind: 'gated',
    gate: 'gate_proj',
    up: 'up_proj',
    down: 'down_proj',
  },
  order: ['self', 'feedForward', 'attention', 'ffn'],
  isParallel: false,
  isPostNorm: false,
  addsToNormed: false,
};

/** Llama's form with a plain feed-forward network. */
export const plainFeedForward = (path: string, up: string, down: string): FeedForwardForm => ({
  path,
  sublayer: path || down,
  kind: 'plain',
  gate: '',
  up,
  down,
});

/** One projection for queries, keys and values. */
export const fusedAttention = (
  path: string,
  layout: 'blocks' | 'groups',
  fused: string,
  output: string,
): AttentionForm => ({ ...SEPARATE, path, layout, fused, output, order: ['fused', 'output'] });

/** RMS norms of each head's queries and keys (Qwen3). */
export const HEAD_NORMS: QueryKeyNorms = {
  query: 'q_norm',
  key: 'k_norm',
  over: 'head',
  norm: RMS_NORM,
};
