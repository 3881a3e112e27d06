/**
 * What stands on a site while an adapter is in force, an interface per kind of site, and what it is
 * told of the run that it takes part in.
 */
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import type { AddedProduct } from '@peft/ops';
import type { Site, SiteKind } from '../description/sites.js';

/** A linear map: y = x·Wᵀ + b, `weight` `[out, in]`, `bias` `[out]`. */
export interface MergedLinear {
  readonly weight: Tensor2D;
  readonly bias?: Tensor1D;
}

/** What stands on a linear map. */
export interface LinearAttachment {
  /**
   * x `[N, in]` → y `[N, out]`; `base` runs the map underneath, bias included. `call` has what only
   * a running model knows.
   */
  forward(x: Tensor2D, base: (x: Tensor2D) => Tensor2D, call: AttachmentCall): Tensor2D;
  /** W, b → those of the merged map. Present only where merging is exact. Runs in a tidy scope. */
  merge?(base: MergedLinear): MergedLinear;
  /** Multiplies the adapter's strength, where it has one. */
  rescale?(factor: number): void;
  /**
   * What `forward` adds to `base(x)` where it does nothing else: scale·x·Aᵀ·Bᵀ, A `[r, in]`, B `[out,
   * r]`; undefined where it does in such a run. The base's product and this one are then made in one
   * pass, and a batch that mixes adapters adds those of all of them in one go.
   */
  added?(run: { readonly training: boolean }): AddedProduct | undefined;
  /** It asks which sequence a row is of, so that it stands on no site with `looseRows`. */
  readonly readsSequences?: boolean;
  /** A row's result depends on the other rows, so that no batch can mix it with others. */
  readonly readsWholeBatch?: boolean;
}
/** What stands on a layer or RMS norm; x `[N, D]`. */
export interface NormAttachment {
  forward(x: Tensor2D, base: (x: Tensor2D) => Tensor2D, call: AttachmentCall): Tensor2D;
  /** γ, β → those of the merged norm. */
  merge?(base: { weight: Tensor1D; bias?: Tensor1D }): { weight: Tensor1D; bias?: Tensor1D };
}
/** What stands on an embedding: ids `[N]` → rows `[N, D]` of the table `[V, D]`. */
export interface EmbeddingAttachment {
  forward(ids: Int32Array, base: (ids: Int32Array) => Tensor2D, call: AttachmentCall): Tensor2D;
  merge?(table: Tensor2D): Tensor2D;
  /** When the table is tied to the output layer: the logits' part. */
  forwardOutput?(x: Tensor2D, base: (x: Tensor2D) => Tensor2D): Tensor2D;
  /** Multiplies the adapter's strength, where it has one. */
  rescale?(factor: number): void;
}
/**
 * What stands on an attention: keys and values that every query of a sequence sees beside the
 * sequence's own, and what follows the attention.
 */
export interface AttentionAttachment {
  /**
   * P, when the extra keys stand in for P tokens in front of each sequence, as a key-value cache
   * would (PEFT's prefix): positions then start at P, and masks, windows and relative biases count
   * them. Default 0: they stand beside the sequence, without positions, and every query sees them
   * (the paper's and adapter-hub's prefix).
   */
  readonly pastLength?: number;
  /**
   * Keys and values `[P, keyValueHeads·headSize]` that every sequence sees, or `[B·P, …]`, P rows
   * for each sequence in turn, with `perSequence`.
   * @param hidden what the attention read `[N, D]`
   */
  extend?(call: AttachmentCall & { readonly hidden: Tensor2D; readonly offsets: Int32Array }): {
    readonly keys: Tensor2D;
    readonly values: Tensor2D;
    readonly perSequence?: boolean;
  };
  /**
   * Added to what the attention makes, before its output projection `[N, heads·headSize]`.
   * @param call.queries as they meet the keys, of that shape
   */
  add?(call: AttachmentCall & { readonly queries: Tensor2D }): Tensor2D;
}
/** A residual branch on its way out. */
export interface SublayerCall extends AttachmentCall {
  /** What the branch read. */
  readonly input: Tensor2D;
  /** What the branch made, before the residual is added. */
  readonly output: Tensor2D;
  readonly residual: Tensor2D;
  readonly offsets: Int32Array;
  /** The norm after the residual, in post-norm models. */
  readonly norm: ((x: Tensor2D) => Tensor2D) | undefined;
  /**
   * What comes next: the adapter around this one, else what closes the branch, norm(residual +
   * output). `bare`: the last adapter's output is the result, without residual and norm.
   */
  close(output: Tensor2D, options?: { readonly bare?: boolean }): Tensor2D;
}
/** What stands at the end of a residual branch. */
export interface SublayerAttachment {
  forward(call: SublayerCall): Tensor2D;
}
/** What stands in front of the embedded sequences. */
export interface SequenceAttachment {
  /** P. Default 0: they take no positions of the model. */
  readonly tokens?: number;
  /** Every sequence gets tokens of its own. Default false: all get the same. */
  readonly perSequence?: boolean;
  /**
   * Virtual tokens `[P, D]` to put in front of every sequence, or `[B·P, D]`, P rows for each sequence
   * in turn, with `perSequence`.
   */
  prefix(call: AttachmentCall): Tensor2D;
}

/** What stands beside the blocks of a stack, and is told of the rows that pass through them. */
export interface StackCall extends AttachmentCall {
  /**
   * Attention of each row to the rows of its sequence, in a decoder to those up to its own; a cache
   * keeps their keys and values as it does those of the blocks. q, k, v `[N, width]`, result likewise.
   * @param name of this attention among those of the attachment
   */
  attend(
    name: string,
    q: Tensor2D,
    k: Tensor2D,
    v: Tensor2D,
    options: { readonly heads: number },
  ): Tensor2D;
  /**
   * Runs the block at hand once more, on another state `[N, D]` and with other values of its
   * parameters, as the base has it without adapters. Its attention has rows of its own in a cache.
   */
  again(state: Tensor2D, copy: BlockCopy): Tensor2D;
}
/** A block with other values. */
export interface BlockCopy {
  /** Tells its rows in a cache from those of the block and of other copies. */
  readonly name: string;
  /** By the names of the base's parameters. */
  readonly parameters: ReadonlyMap<string, { readonly value: Tensor }>;
}
/** What goes from one block to the next. */
export interface StackStates {
  /** What the next block reads `[N, D]`, behind the last one what follows the blocks. */
  readonly state: Tensor2D;
  /** What runs beside the blocks `[N, …]`. */
  readonly beside: Tensor2D;
}
/** What stands beside the blocks of a stack. */
export interface StackAttachment {
  /** What runs beside the blocks, in front of the first of them, which reads `state` `[N, D]`. */
  begin(state: Tensor2D, call: StackCall): Tensor2D;
  /** What block `block` reads in place of `states.state`. Default: that. */
  enter?(block: number, states: StackStates, call: StackCall): Tensor2D;
  /** What goes on behind block `block` of the stack, 0 the first, which made `states.state`. */
  follow(block: number, states: StackStates, call: StackCall): StackStates;
}

/** What an adapter may know of the run it takes part in. */
export interface AttachmentCall {
  readonly training: boolean;
  /** Dropout of `x` in a stream of the adapter's own; the identity outside training. */
  dropout(x: Tensor2D, rate: number, purpose?: string): Tensor2D;
  /** Numbers of N(0, 1) in a stream of the adapter's own, the same for the same step. */
  normal(shape: readonly [number, number], purpose?: string): Tensor2D;
  /**
   * Where the sequences of a tensor with that many rows begin and end, `[B+1]`.
   * @throws PEFT_LAYOUT_UNKNOWN when its rows are not the tokens of a batch, or the batch mixes
   *   adapters.
   */
  layout(rows: number): Int32Array;
  /**
   * The tokens that a tensor of that many rows stands for, sequence b at `[offsets[b], offsets[b+1])`.
   * @throws PEFT_LAYOUT_UNKNOWN as `layout`, and where its rows are not the batch's tokens alone
   */
  tokens(rows: number): { readonly inputIds: Int32Array; readonly offsets: Int32Array };
  /**
   * The sequence of each row of a tensor of that many rows, of tokens or one for each sequence; without
   * a number 0 … B − 1.
   * @throws PEFT_LAYOUT_UNKNOWN as `layout`
   */
  sequences(rows?: number): Int32Array;
  /**
   * The task of each sequence `[B]`, of `count` tasks.
   * @throws PEFT_TASK_ID_MISSING where the batch says none; PEFT_TASK_ID_RANGE for one that there is
   *   not
   */
  tasks(count: number): Int32Array;
  /**
   * What the adapter kept of the pass ahead of this one (`AttachContext.lookAhead`), undefined in that
   * pass itself; or what its companion made (`AttachContext.companion`).
   */
  ahead(): Tensor2D | undefined;
  /** Another adapter of the model, for one that combines several. @throws PEFT_ADAPTER_UNKNOWN */
  adapter(name: string): AttachedSites;
}

/** What may stand on a site of each kind. */
export interface SiteAttachments {
  linear: LinearAttachment;
  norm: NormAttachment;
  embedding: EmbeddingAttachment;
  attention: AttentionAttachment;
  sublayer: SublayerAttachment;
  sequence: SequenceAttachment;
  stack: StackAttachment;
  parameter: undefined;
}

/** What one method put on one site. */
export interface Attached<K extends SiteKind = SiteKind> {
  readonly site: Site;
  /** Name of the method. */
  readonly method: string;
  readonly attachment: SiteAttachments[K];
}

/** An adapter as another one that combines several sees it. */
export interface AttachedSites {
  readonly name: string;
  /** What stands on a site, innermost first. */
  at<K extends SiteKind>(kind: K, path: string): readonly Attached<K>[];
}
