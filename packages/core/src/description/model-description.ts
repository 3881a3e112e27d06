/** What a model is before any weight is read: its parameters and its sites. */
import type { FamilyConventions } from './family-conventions.js';
import type { Initializer } from './initializers.js';
import type { ParameterSite, Site } from './sites.js';
import type { TensorEntry, TensorPiece } from './tensor-entry.js';

/** A tensor of the checkpoint. */
export interface ParameterSpec {
  /** The checkpoint's own name. */
  readonly name: string;
  /** Logical shape; `[out, in]` for a linear weight also where the file stores `[in, out]`. */
  readonly shape: readonly number[];
  /**
   * `matrix` and `table` are frozen by the engine; a `vector` (any small tensor that is used as it
   * is) is a plain tensor.
   */
  readonly use: 'matrix' | 'table' | 'vector';
  readonly transposed?: boolean;
  /**
   * How to fill it when the checkpoint lacks it (a fresh head). Without, a missing tensor is an
   * error.
   */
  readonly init?: Initializer;
  /** Other names under which checkpoints store it, tried in order. */
  readonly aliases?: readonly string[];
  /**
   * Cuts of stored tensors that make it up, one behind the other along the first axis: one expert of
   * a tensor of all, or gate and up that are stored apart. The first list whose tensors are there
   * counts.
   */
  readonly pieces?: readonly (readonly TensorPiece[])[];
  /** It is entry `index` of `count` along the first axis of what the reference calls `of`. */
  readonly entry?: TensorEntry;
  /** The reference counts it as no parameter: nothing trains it. */
  readonly isBuffer?: boolean;
  /** It belongs to a norm: no weight decay, and "norm" tuning unfreezes it. */
  readonly norm?: 'layer' | 'rms';
}

/** What sits on top of the backbone. */
export type HeadOptions =
  | { readonly kind: 'none' }
  /** One linear layer on the pooled (first or mean) hidden state, as AutoGluon has it. */
  | {
      readonly kind: 'pooled-linear';
      readonly outputs: number;
      readonly pooling?: 'first' | 'mean';
    }
  /** The family's own classification head, Hugging Face names. */
  | { readonly kind: 'sequence-classification'; readonly outputs: number }
  | { readonly kind: 'token-classification'; readonly outputs: number }
  | { readonly kind: 'masked-lm' }
  | { readonly kind: 'causal-lm' }
  | { readonly kind: 'seq2seq-lm' };

/**
 * What a model consists of before it has weights: its parameters, and the sites where adapters can
 * stand.
 */
export interface ModelDescription {
  readonly modelType: string;
  readonly head: HeadOptions;
  /** D. */
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  /** Blocks of each stack. */
  readonly layers: { readonly encoder: number; readonly decoder: number };
  /** Longest input in tokens that the model was made for, absent where there is no bound. */
  readonly maxPositions?: number;
  /** In the order in which the reference implementation lists them. */
  readonly parameters: readonly ParameterSpec[];
  readonly sites: readonly Site[];
  /** Modules of the head that every adapter trains and saves (`classifier`, `score`). */
  readonly headModules: readonly string[];
  /** Name in checkpoints that lack or have the class prefix (`bert.`). */
  readonly basePrefix: string;
  /** What blocks make beside the state that the next one reads, where they do (logits of routers). */
  readonly besideState?: string;
  /** Ranges of the checkpoint's blocks that run one after the other, where an adapter repeats some. */
  readonly repeatedBlocks?: readonly (readonly [number, number])[];
  /** What other libraries call its parts; `describeModel` takes it from the family. */
  readonly conventions?: FamilyConventions;
}

/** Every parameter as a site of kind `parameter`; its path is the parameter's name. */
export function parameterSites(description: ModelDescription): ParameterSite[] {
  const layers = new Map(description.sites.map((site) => [site.path, site.layer]));
  const trainable = description.parameters.filter(({ isBuffer = false }) => !isBuffer);
  return trainable.map(({ name, shape, norm }) => {
    const layer = layers.get(name.slice(0, name.lastIndexOf('.')));
    return {
      kind: 'parameter',
      path: name,
      role: norm ? `norm.${norm}` : 'parameter',
      shape,
      layer,
    };
  });
}

/** Number of base parameters (elements), buffers left out. */
export function parameterCount(description: ModelDescription): number {
  return description.parameters.reduce(
    (sum, { shape, isBuffer = false }) =>
      isBuffer ? sum : sum + shape.reduce((product, size) => product * size, 1),
    0,
  );
}
