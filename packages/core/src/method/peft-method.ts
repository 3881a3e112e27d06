/**
 * The seam between methods and models. A method is a value: which kinds of sites it can attach to,
 * its options, and a function per kind that makes an adapter for one site. It never sees an
 * architecture.
 */
import type { Tensor, Tensor1D, Tensor2D, Variable } from '@tensorflow/tfjs';
import type { RandomKey } from '@peft/ops';
import type { Adapter } from '../adapter/adapter.js';
import type { AdapterFormat } from '../files/adapter-format.js';
import type { Initializer } from './initializers.js';
import type { ModelDescription } from '../description/model-description.js';
import type { Site, SiteKind, SiteOf } from '../description/sites.js';
import type { CommonConfig, TargetSelection } from '../description/target-selection.js';

/** Open map of method name → options; a method's package adds to it by declaration merging. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface PeftConfigs {}
export type MethodName = keyof PeftConfigs & string;

/** A trainable of an adapter. Its variable exists only on a model with weights. */
export interface AdapterParameter {
  /** `<site path>.<name>`, or `<name>` when it belongs to no site. */
  readonly name: string;
  readonly shape: readonly number[];
  /** @throws PEFT_MODEL_WITHOUT_WEIGHTS on a bare description. */
  readonly value: Variable;
}

export interface ParameterOptions {
  /** Saved and loaded, never trained (VeRA's projections). Default true. */
  readonly trainable?: boolean;
  /** Left out of the file. Default true. */
  readonly saved?: boolean;
}

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

/** What a method may ask for while it attaches. Core names, owns, saves and disposes all of it. */
export interface AttachContext {
  readonly description: ModelDescription;
  /** All sites that the method takes, this one among them. */
  readonly sites: readonly Site[];
  /**
   * What the sites of this adapter share: made by the first that asks, and there for `fileTensors`
   * and `toPeftConfig`, too.
   */
  shared<T>(name: string, make: () => T): T;
  /**
   * A new parameter of this site; `name` is its name on disk after the site's path
   * (`lora_A.weight`).
   */
  param(
    name: string,
    shape: readonly number[],
    init: Initializer,
    options?: ParameterOptions,
  ): AdapterParameter;
  /**
   * A new parameter that all sites of the adapter share: the first caller's shape and values count.
   */
  sharedParam(
    name: string,
    shape: readonly number[],
    init: Initializer,
    options?: ParameterOptions,
  ): AdapterParameter;
  /**
   * Lets an existing base parameter train; the adapter trains a copy, which counts while it is
   * active.
   */
  unfreeze(parameterName: string, options?: UnfreezeOptions): AdapterParameter;
  /**
   * Replaces this site's base weight while the adapter exists (PiSSA): the function gets W `[out,
   * in]` and returns the new one. It runs before any `param` initialiser that reads the weight
   * afterwards.
   */
  replaceWeight(change: (weight: Tensor2D) => Tensor2D): void;
  /**
   * Runs after each optimiser step. A hook that remembers something between steps says what, or a
   * resumed run differs.
   */
  onStep(hook: (call: StepCall) => void, memory?: StepMemory): void;
  /**
   * Added to the training loss of each micro-batch, weighted by `1 / microBatches` so that a step
   * adds it once.
   */
  extraLoss(term: () => Tensor): void;
  /** A random stream that names adapter, site and `purpose`. */
  randomKey(purpose: string): RandomKey;
}

/**
 * A site on a loaded model; each of these throws PEFT_MODEL_WITHOUT_WEIGHTS on a bare description.
 */
export interface SiteWeights {
  /**
   * The base weight as float32 `[out, in]` or `[rows, D]`, without adapters; the caller disposes.
   */
  dequantizedWeight(): Tensor2D;
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
  /**
   * Rows of the base table `[N, D]`, of a sequence site those of its embedding; the caller
   * disposes.
   */
  baseRows(ids: Int32Array): Tensor2D;
}
export type SiteHandle<K extends SiteKind> = SiteOf<K> & SiteWeights;

export interface MergedLinear {
  readonly weight: Tensor2D;
  readonly bias?: Tensor1D;
}

export interface LinearAdapter {
  /**
   * x `[N, in]` → y `[N, out]`; `base` runs the map underneath, bias included. `call` has what only
   * a running model knows.
   */
  forward(x: Tensor2D, base: (x: Tensor2D) => Tensor2D, call: AdapterCall): Tensor2D;
  /** W, b → those of the merged map. Present only where merging is exact. Runs in a tidy scope. */
  merge?(base: MergedLinear): MergedLinear;
  /** Multiplies the adapter's strength, where it has one. */
  rescale?(factor: number): void;
}
export interface NormAdapter {
  forward(x: Tensor2D, base: (x: Tensor2D) => Tensor2D, call: AdapterCall): Tensor2D;
  /** γ, β → those of the merged norm. */
  merge?(base: { weight: Tensor1D; bias?: Tensor1D }): { weight: Tensor1D; bias?: Tensor1D };
}
export interface EmbeddingAdapter {
  forward(ids: Int32Array, base: (ids: Int32Array) => Tensor2D, call: AdapterCall): Tensor2D;
  merge?(table: Tensor2D): Tensor2D;
  /** When the table is tied to the output layer: the logits' part. */
  forwardOutput?(x: Tensor2D, base: (x: Tensor2D) => Tensor2D): Tensor2D;
  /** Multiplies the adapter's strength, where it has one. */
  rescale?(factor: number): void;
}
export interface AttentionAdapter {
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
  extend(call: AdapterCall & { readonly hidden: Tensor2D; readonly offsets: Int32Array }): {
    readonly keys: Tensor2D;
    readonly values: Tensor2D;
    readonly perSequence?: boolean;
  };
}
/** A residual branch on its way out. */
export interface SublayerCall extends AdapterCall {
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
export interface SublayerAdapter {
  forward(call: SublayerCall): Tensor2D;
}
export interface SequenceAdapter {
  /** Virtual tokens `[P, D]` to put in front of every sequence. */
  prefix(call: AdapterCall): Tensor2D;
}

/** What an adapter may know of the run it takes part in. */
export interface AdapterCall {
  readonly training: boolean;
  /** Dropout of `x` in a stream of the adapter's own; the identity outside training. */
  dropout(x: Tensor2D, rate: number, purpose?: string): Tensor2D;
  /**
   * Where the sequences of a tensor with that many rows begin and end, `[B+1]`.
   * @throws PEFT_LAYOUT_UNKNOWN when its rows are not the tokens of a batch, or the batch mixes
   *   adapters.
   */
  layout(rows: number): Int32Array;
  /** Another adapter of the model, for one that combines several. @throws PEFT_ADAPTER_UNKNOWN */
  adapter(name: string): Adapter;
}

export interface SiteAdapters {
  linear: LinearAdapter;
  norm: NormAdapter;
  embedding: EmbeddingAdapter;
  attention: AttentionAdapter;
  sublayer: SublayerAdapter;
  sequence: SequenceAdapter;
  parameter: undefined;
}

/**
 * `undefined`: nothing stands in the way of the forward pass (a bias was unfrozen, say). Written as
 * a method, so that every method is an `AnyMethod`, whatever its options.
 */
export type AttachFunction<K extends SiteKind, Config> = {
  attach(site: SiteHandle<K>, config: Config, context: AttachContext): SiteAdapters[K] | undefined;
}['attach'];

export interface PeftMethodDefinition<Name extends MethodName> {
  readonly name: Name;
  /** `peft_type` in adapter_config.json, absent where PEFT has no such method. */
  readonly peftType?: string;
  readonly paper?: { readonly title: string; readonly url: string };
  /**
   * Fills defaults, rejects bad values. Options common to all methods (targets …) were taken out
   * before.
   */
  parseConfig(input: Partial<PeftConfigs[Name]>): PeftConfigs[Name];
  /** Module names that it takes beside the targets (rows of an embedding that train with LoRA). */
  extraTargets?(config: PeftConfigs[Name], description: ModelDescription): readonly string[];
  /** Which sites to take when the user names none; `optional`: that there are none is no error. */
  defaultTargets(
    description: ModelDescription,
    config: PeftConfigs[Name],
  ): TargetSelection & { readonly optional?: boolean };
  /** A function per kind of site that it can attach to. */
  readonly attach: { readonly [K in SiteKind]?: AttachFunction<K, PeftConfigs[Name]> };
  /**
   * Its options in adapter_config.json's words, without the common keys; and back. Present when
   * `peftType` is.
   */
  toPeftConfig?(config: PeftConfigs[Name], context: PeftConfigContext): Record<string, unknown>;
  fromPeftConfig?(json: Readonly<Record<string, unknown>>): Partial<PeftConfigs[Name]>;
  /**
   * Common options that PEFT's config of this method has. Default: `target_modules`,
   * `exclude_modules`, `modules_to_save`.
   */
  readonly peftCommonKeys?: readonly PeftCommonKey[];
  /** The layout of its files, where that is not PEFT's. */
  readonly format?: AdapterFormat;
  /** How it appears in adapter-hub's files, where that library has it. */
  readonly adapterHub?: AdapterHubMapping<PeftConfigs[Name]>;
  /**
   * PEFT's layout of the tensors' names: `tuner` (default) puts `base_model.model.` before all of
   * them; `prompt` writes the method's own bare (`prompt_embeddings`) and `base_model.` before a
   * head's.
   */
  readonly peftLayout?: 'tuner' | 'prompt';
  /**
   * What the file holds in place of the method's own parameters, by name in the file without
   * prefix, where that is computed from them (P-tuning saves what its encoder makes). The caller
   * disposes of the tensors.
   */
  fileTensors?(config: PeftConfigs[Name], context: PeftConfigContext): Map<string, Tensor>;
}

/** A method in the words of the adapter-hub library. */
export interface AdapterHubMapping<Config> {
  /** Its part of adapter_config.json. */
  toConfig(config: Config, context: PeftConfigContext): Record<string, unknown>;
  /**
   * Back, with `targets` where the method has no default ones; undefined for a config of another
   * method.
   * @param file.version of the library
   */
  fromConfig(
    json: Readonly<Record<string, unknown>> | string,
    file: {
      readonly description: ModelDescription;
      readonly keys: readonly string[];
      readonly version: string;
    },
  ): (Partial<Config> & CommonConfig) | undefined;
  /**
   * Key of a parameter within the module that holds it, `*` standing for the adapter's name:
   * `loras.*.lora_A`.
   * @param name of the parameter after its site's path, or the whole name of a shared one.
   */
  key(name: string, config: Config): string;
}

export type PeftCommonKey =
  | 'target_modules'
  | 'exclude_modules'
  | 'layers_to_transform'
  | 'layers_pattern'
  | 'modules_to_save'
  | 'ensure_weight_tying';

/** An attached method, as what writes its files sees it. */
export interface PeftConfigContext {
  readonly description: ModelDescription;
  /** Sites that it took. */
  readonly sites: readonly Site[];
  /** The adapter's parameters by name. */
  readonly parameters: ReadonlyMap<string, AdapterParameter>;
  /** What `AttachContext.shared` made, by name. */
  readonly shared: ReadonlyMap<string, unknown>;
}

/** Options of one method, checked, ready to be put on a model. */
export interface MethodPart {
  readonly method: PeftMethodDefinition<MethodName>;
  readonly config: unknown;
  readonly common: CommonConfig;
}
/**
 * One method with its options, or a combination of several; outermost last. `Kinds`: what it can
 * stand on.
 */
export interface MethodSpec<Kinds extends SiteKind = SiteKind> {
  readonly name: string;
  readonly parts: readonly MethodPart[];
  /** In types alone: kinds of sites that it can attach to. */
  readonly kinds?: Kinds;
}

/**
 * A spec that has something to stand on in a model with sites of the kinds `Has`; any other does
 * not compile.
 */
export type FittingSpec<Kinds extends SiteKind, Has extends SiteKind> = [
  Extract<Kinds, Has>,
] extends [never]
  ? { readonly 'the model has no site of the kinds that this method attaches to': Kinds }
  : MethodSpec<Kinds>;

/** A method: call it with options to get a spec for `model.addAdapter`. */
export interface PeftMethod<
  Name extends MethodName,
  Kinds extends SiteKind = SiteKind,
> extends PeftMethodDefinition<Name> {
  (config?: Partial<PeftConfigs[Name]> & CommonConfig): MethodSpec<Kinds>;
}
