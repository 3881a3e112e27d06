/** What a method may ask for while it attaches: parameters, base weights, hooks of a step. */
import type { Rank, Tensor, Tensor1D, Tensor2D, Variable } from '@tensorflow/tfjs';
import type { RandomKey } from '@peft/ops';
import type { Initializer, WholeNumbers } from '../description/initializers.js';
import type { ModelDescription } from '../description/model-description.js';
import type { Site, SiteKind, SiteOf } from '../description/sites.js';
import type { CommonConfig } from '../description/target-selection.js';
import type { AttachmentCall } from './attachment.js';

/** The rank of each number of dimensions. */
interface Ranks {
  0: Rank.R0;
  1: Rank.R1;
  2: Rank.R2;
  3: Rank.R3;
  4: Rank.R4;
}
/** The rank of tensors of a shape; of one whose number of dimensions is not known, any. */
export type RankOf<Shape extends readonly number[]> = Shape['length'] extends keyof Ranks
  ? Ranks[Shape['length']]
  : Rank;

/** A trainable of an adapter. Its variable exists only on a model with weights. */
export interface AdapterParameter<R extends Rank = Rank> {
  /** `<site path>.<name>`, or `<name>` when it belongs to no site. */
  readonly name: string;
  readonly shape: readonly number[];
  /** @throws PEFT_MODEL_WITHOUT_WEIGHTS on a bare description. */
  readonly value: Variable<R>;
}

/** A parameter `[rows, columns]`. */
export type MatrixParameter = AdapterParameter<Rank.R2>;
/** A parameter `[length]`. */
export type VectorParameter = AdapterParameter<Rank.R1>;

/** A parameter with its place on disk. */
export interface OwnedParameter extends AdapterParameter {
  readonly trainable: boolean;
  readonly saved: boolean;
  readonly storedAs?: 'I32' | 'I64';
  readonly below?: number | readonly number[];
  readonly form?: StoredForm;
  /** `new`: made by the method. `unfrozen`: a copy of the base parameter of the same name. */
  readonly origin: 'new' | 'unfrozen';
  /**
   * The method that asked for it, `modulesToSave`, or `file` for one that a loaded file brought
   * along.
   */
  readonly method: string;
  /** The site it belongs to. */
  readonly site?: Site;
  /** Its path in the file, where that is not `name`. */
  readonly savedAs?: string;
  /** Whether its values are other than those it was made with. */
  hasChanged(): boolean;
  /** Brings its values from a device to host memory (`Model.toHost`). */
  toHost(): Promise<void>;
  dispose(): void;
}

/** How a method's parameter trains and how its file holds it. */
export interface ParameterOptions {
  /** Saved and loaded, never trained (VeRA's projections). Default true. */
  readonly trainable?: boolean;
  /** Left out of the file. Default true. */
  readonly saved?: boolean;
  /** Whole numbers (indices), an int32 variable: how the file holds them. Default: float32. */
  readonly storedAs?: 'I32' | 'I64';
  /** What whole numbers of a file must be below, all of them or each row's. Default: anything. */
  readonly below?: number | readonly number[];
  /** The file holds it in parts, another way. Default: as it is. */
  readonly form?: StoredForm;
}

/** How a file holds a parameter in other words (the largest of many logits alone). */
export interface StoredForm {
  /** What follows the parameter's name in that of each part, its shape and dtype. */
  readonly parts: readonly {
    readonly suffix: string;
    readonly shape: readonly number[];
    readonly dtype: 'F32' | 'U8' | 'I16' | 'I32';
  }[];
  /** The parts of values. */
  write(values: Float32Array): readonly Float32Array[];
  /** And back. @throws PEFT_ADAPTER_MISMATCH for parts that stand for nothing */
  read(parts: readonly Float32Array[]): Float32Array;
}

/** How a parameter of the base takes part in an adapter. */
export interface UnfreezeOptions {
  /** Kept and saved with the adapter but not trained. Default true. */
  readonly trainable?: boolean;
  /**
   * Its name on disk after the site's path (LN tuning: `ln_tuning_layers.weight`). Default: the
   * base parameter's own name.
   */
  readonly savedAs?: string;
}

/** An optimiser step that was just taken. */
export interface StepCall {
  /** Counts from 1. */
  readonly step: number;
  /**
   * The gradient that the step used, after clipping; undefined for a parameter that had none. Owned
   * by the trainer.
   */
  gradient(parameter: AdapterParameter): Tensor | undefined;
}

/** What a method does after an optimiser step. */
export type StepHook = (call: StepCall) => void | Promise<void>;

/**
 * What a hook remembers from step to step, for checkpoints: a run that goes on from one remembers
 * it, too.
 */
export interface StepMemory {
  /** Numbers by name. */
  save(): Readonly<Record<string, Float32Array>>;
  /** @param values what `save` gave; of a run that had nothing to remember yet, none */
  restore(values: Readonly<Record<string, Float32Array>>): void;
}

/**
 * What an adapter keeps of the pass ahead of a forward pass, on the tape.
 * @param hidden the model's last hidden state `[N, D]`, without gradient
 * @returns what `AttachmentCall.ahead` gives in the pass that follows
 */
export type LookAhead = (hidden: Tensor2D, call: AttachmentCall) => Tensor2D;

/**
 * A small model beside the base, of its architecture: its first blocks, and all that stands in front of
 * them and behind the last, with other values.
 */
export interface Companion {
  /** How many blocks it has. */
  readonly blocks: number;
  /** Its values by the names of the base's parameters; what is not among them is the base's own. */
  readonly parameters: ReadonlyMap<string, { readonly value: Tensor }>;
  /**
   * What it would say itself counts in the loss of a language model: λ times the loss that the output
   * layer, without scale and cap, makes of its last hidden state. 0: it does not.
   */
  readonly lossWeight: number;
}

/** What a method may ask for while it attaches. Core names, owns, saves and disposes all of it. */
export interface AttachContext {
  readonly description: ModelDescription;
  /** All sites that the method takes, this one among them. */
  readonly sites: readonly Site[];
  /** The targets that were asked for; undefined: the method's default ones. */
  readonly targets: CommonConfig['targets'];
  /** Options that match nothing are errors; a foreign file may have such. */
  readonly isStrict: boolean;
  /**
   * What the sites of this adapter share: made by the first that asks, and there for `fileTensors`
   * and `toPeftConfig`, too.
   */
  shared<T>(name: string, make: () => T): T;
  /**
   * A new parameter of this site; `name` is its name on disk after the site's path
   * (`lora_A.weight`).
   */
  param<const Shape extends readonly number[]>(
    name: string,
    shape: Shape,
    init: Initializer | WholeNumbers,
    options?: ParameterOptions,
  ): AdapterParameter<RankOf<Shape>>;
  /**
   * A new parameter that all sites of the adapter share: the first caller's shape and values count.
   */
  sharedParam<const Shape extends readonly number[]>(
    name: string,
    shape: Shape,
    init: Initializer | WholeNumbers,
    options?: ParameterOptions,
  ): AdapterParameter<RankOf<Shape>>;
  /**
   * Says that a file holds a parameter of another site under this site's `name`, too (PEFT writes
   * what layers share with each of them).
   */
  repeat(name: string, parameter: AdapterParameter): void;
  /**
   * Lets an existing base parameter train; the adapter trains a copy, which counts while it is
   * active.
   */
  unfreeze(parameterName: string, options?: UnfreezeOptions): AdapterParameter;
  /** A new parameter of this site that starts as a copy of a base parameter and trains apart from it. */
  copy(parameterName: string, name: string): AdapterParameter;
  /**
   * Replaces this site's base weight while the adapter exists (PiSSA): the function gets W `[out,
   * in]` and returns the new one. It runs before any `param` initialiser that reads the weight
   * afterwards.
   */
  replaceWeight(change: (weight: Tensor2D) => Tensor2D): void;
  /**
   * Runs after each optimiser step, which is over when it is. A hook that remembers something between
   * steps says what, or a resumed run differs. It frees what it makes.
   */
  onStep(hook: StepHook, memory?: StepMemory): void;
  /**
   * Added to the training loss of each micro-batch, weighted by `1 / microBatches` so that a step
   * adds it once.
   */
  extraLoss(term: () => Tensor): void;
  /**
   * Lets the adapter see what the model makes of a batch before the pass that counts: each forward
   * pass then follows another one on the same batch, without gradients and with the same adapters, in
   * which `AttachmentCall.ahead` gives nothing. The first of an adapter's sites that asks counts.
   */
  lookAhead(read: LookAhead): void;
  /**
   * Runs a small model of the adapter's own on each batch before the pass that counts, without any
   * adapters, on the tape: `AttachmentCall.ahead` gives its last hidden state `[N, D]`. It has rows of
   * its own in a cache. The first of an adapter's sites that asks counts.
   */
  companion(companion: Companion): void;
  /** A random stream that names adapter, site and `purpose`. */
  randomKey(purpose: string): RandomKey;
}

/**
 * A site on a loaded model; each function throws PEFT_MODEL_WITHOUT_WEIGHTS on a bare description.
 */
export interface SiteWeights {
  /** Whether there are any: a bare description has none, and only tells shapes. */
  readonly hasWeights: boolean;
  /**
   * The base weight as float32 `[out, in]` or `[rows, D]`, without adapters; the caller disposes.
   */
  dequantizedWeight(): Tensor2D;
  /** The base bias as float32, without adapters; the caller disposes. Undefined where there is none. */
  baseBias(): Tensor1D | undefined;
  /**
   * The bias in force (the base's, or this adapter's trained copy), owned by the model; undefined
   * where there is none.
   */
  biasInForce(): Tensor1D | undefined;
  /**
   * x·Wᵀ on the base weight in the engine's hands, without bias and adapters: x `[N, in]` → `[N,
   * out]`.
   */
  product(x: Tensor2D): Tensor2D;
  /** The same of another linear site. */
  dequantizedWeightAt(path: string): Tensor2D;
  /** What another linear site's base makes of x `[N, in]`, without adapters. */
  linearAt(path: string, x: Tensor2D): Tensor2D;
  /**
   * Rows of the base table `[N, D]`, of a sequence site those of its embedding; the caller
   * disposes.
   */
  baseRows(ids: Int32Array): Tensor2D;
}
/** A site with its weights, as `attach` receives it. */
export type SiteHandle<K extends SiteKind> = SiteOf<K> & SiteWeights;
