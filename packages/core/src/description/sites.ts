/**
 * Sites: the places of a model where a method can attach. A model is a list of them plus a forward
 * pass that consults what is attached. The kinds are few and closed.
 */
import type { TensorEntry } from './tensor-entry.js';

interface SiteBase {
  /** The checkpoint's own module path, `deberta.encoder.layer.0.attention.self.query_proj`. */
  readonly path: string;
  /**
   * What it does, in words common to all families: `attention.query`, `ffn.up`, `embedding.word` …
   */
  readonly role: string;
  /** Index of the block that it belongs to, absent outside blocks. */
  readonly layer?: number;
}

/** A frozen affine map y = x·Wᵀ + b. */
export interface LinearSite extends SiteBase {
  readonly kind: 'linear';
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** Name of the parameter W, logical shape `[out, in]`. */
  readonly weight: string;
  readonly bias?: string;
  /** The checkpoint stores W as `[in, out]` (GPT-2). */
  readonly transposed?: boolean;
  /** The model's output layer, which `all-linear` leaves out. */
  readonly isOutputHead?: boolean;
  /**
   * The reference holds it as a bare parameter, not as a linear module (routers, experts), so that
   * `all-linear` leaves it out.
   */
  readonly isBareParameter?: boolean;
  /**
   * Rows that it maps beside, or instead of, the tokens of a batch, and that belong to no sequence: "a
   * table of positions". What tells sequences apart cannot stand there.
   */
  readonly looseRows?: string;
  /** The expert that it is, of a parameter that holds them all. */
  readonly entry?: TensorEntry;
}

/** A layer norm or RMS norm over the last axis. */
export interface NormSite extends SiteBase {
  readonly kind: 'norm';
  readonly size: number;
  readonly variant: 'layer' | 'rms';
  readonly weight: string;
  readonly bias?: string;
}

/** A table of rows by id. */
export interface EmbeddingSite extends SiteBase {
  readonly kind: 'embedding';
  readonly rows: number;
  readonly size: number;
  readonly weight: string;
  /**
   * Path of the embedding whose table it reads (T5's `encoder.embed_tokens` reads that of
   * `shared`). The other only holds the table: of what is attached there, its readers follow what
   * goes along with the table (`forwardOutput`).
   */
  readonly tiedTo?: string;
}

/** An attention whose keys and values can be extended. */
export interface AttentionSite extends SiteBase {
  readonly kind: 'attention';
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  /** Which attention of which stack: a prefix is made per stack. */
  readonly stack: 'encoder' | 'decoder' | 'cross';
  /** Index among the attentions of its stack. */
  readonly index: number;
  /**
   * Keys can stand beside the sequence, but not for tokens in front of it (the original has no
   * key-value cache). Default false.
   */
  readonly besideOnly?: boolean;
}

/** A residual branch: what it read, what it made, and what closes it. */
export interface SublayerSite extends SiteBase {
  readonly kind: 'sublayer';
  readonly size: number;
  /** `attention`, `cross-attention` or `ffn`. */
  readonly branch: 'attention' | 'cross-attention' | 'ffn';
  readonly stack: 'encoder' | 'decoder';
}

/**
 * The start of a stack, where virtual tokens can be put in front: of the word embeddings' rows, or
 * of what positions and a norm make of them (role `sequence.embedded`).
 */
export interface SequenceSite extends SiteBase {
  readonly kind: 'sequence';
  readonly size: number;
  readonly stack: 'encoder' | 'decoder';
  /** The embedding site whose rows the tokens come from. */
  readonly embedding: string;
}

/**
 * The blocks of a stack, one after the other: what runs beside them reads what each of them makes. Every
 * model has one for each stack whose blocks have residual branches; its path is that of the list of
 * blocks.
 */
export interface StackSite extends SiteBase {
  readonly kind: 'stack';
  readonly stack: 'encoder' | 'decoder';
  /** D, the width of the state between two blocks. */
  readonly size: number;
  /** How many they are. */
  readonly blocks: number;
  /** H of their self-attention. */
  readonly heads: number;
}

/** A named base tensor that can be unfrozen. */
export interface ParameterSite extends SiteBase {
  readonly kind: 'parameter';
  readonly shape: readonly number[];
}

/** A place in a model where an adapter can stand; `kind` tells which. */
export type Site =
  | LinearSite
  | NormSite
  | EmbeddingSite
  | AttentionSite
  | SublayerSite
  | SequenceSite
  | StackSite
  | ParameterSite;
/** The kind of a site: what stands there sees a linear map, a norm, an embedding … */
export type SiteKind = Site['kind'];
/** The site of one kind. */
export type SiteOf<K extends SiteKind> = Extract<Site, { kind: K }>;

/** All kinds of sites. */
export const SITE_KINDS: readonly SiteKind[] = Object.freeze([
  'linear',
  'norm',
  'embedding',
  'attention',
  'sublayer',
  'sequence',
  'stack',
  'parameter',
] as const);
