/** A model: an architecture, its base weights in an engine's hands, and the adapters on it. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { didYouMean, PeftError } from '@peft/errors';
import { freezeTensor, hasDeviceMemory, onHost, type Engine, type FrozenWeight } from '@peft/ops';
import type { Adapter } from '../adapter/adapter.js';
import { attachAdapter, type AttachOptions } from '../adapter/attach-adapter.js';
import { requireFreeName } from '../adapter/require-free-name.js';
import { rescale } from '../adapter/rescale.js';
import type { WeightHost } from '../adapter/weight-host.js';
import type { ModelDescription } from '../description/model-description.js';
import type { OwnedParameter } from '../method/attach-context.js';
import type { MethodSpec } from '../method/peft-method.js';
import { adapterCounts, trainablesOf } from './adapter-counts.js';
import { statusOf, type AdapterStatus } from './adapter-status.js';
import type { Architecture, ModelBatch, ModelOutput } from './architecture.js';
import { ModelForm } from './form/model-form.js';
import {
  checkMergeable,
  foldParameter,
  foldParameterRows,
  isQuantized,
  mergeInto,
  readTensor,
  type Folding,
} from './merging/merge.js';
import {
  deviationOf,
  mergeWarnings,
  probeBatch,
  probedValues,
  type MergeResult,
} from './merging/merge-probe.js';
import { unmixableAt } from './mixed-batch.js';
import { forwardPass } from './pass/forward-pass.js';
import type { RunHost, RunOptions } from './run-options.js';
import type { Stage } from './stage/stage.js';
import { weightHostOf, withBorrowed, type KeepBorrowed } from './weights/weight-host-of.js';
import { isFrozen, type ModelWeights } from './weights/weights.js';

/**
 * A frozen base model with any number of adapters on it: runs them, adds, switches, merges and
 * removes them. It owns its weights and adapters until `dispose`.
 */
export class Model {
  readonly #adapters = new Map<string, Adapter>();
  #active: readonly string[] = [];
  #merged:
    | {
        readonly names: readonly string[];
        readonly weights: ReadonlyMap<string, FrozenWeight | Tensor>;
      }
    | undefined;
  /** Weights that adapters were folded into for good. */
  readonly #folded = new Map<string, FrozenWeight | Tensor>();
  /** Tables that a forward pass made once for all. */
  readonly #constants = new Map<string, readonly Tensor[]>();
  readonly #form: ModelForm;
  #isDisposed = false;

  /** Use {@link loadModel}. */
  constructor(
    readonly architecture: Architecture<unknown>,
    config: unknown,
    readonly configJson: Readonly<Record<string, unknown>>,
    description: ModelDescription,
    readonly weights: ModelWeights,
    readonly engine: Engine,
    /** What loading found that the user should know. */
    readonly warnings: readonly string[] = [],
    /** The blocks that lie here, where others lie on other ranks. */
    readonly stage: Stage | undefined = undefined,
  ) {
    this.#form = new ModelForm(architecture, { config, description });
  }

  /** The family's config; its blocks are repeated while an adapter asks for it, as the description's. */
  get config(): unknown {
    return this.#form.current.config;
  }

  get description(): ModelDescription {
    return this.#form.current.description;
  }

  get adapterNames(): readonly string[] {
    return [...this.#adapters.keys()];
  }

  /** Names of the adapters in force, innermost first. */
  get activeAdapters(): readonly string[] {
    return this.#active;
  }

  /** Adapters folded into the weights, if any. */
  get mergedAdapters(): readonly string[] {
    return this.#merged?.names ?? [];
  }

  /**
   * Puts an adapter on the model and makes it the active one.
   * @throws PEFT_ADAPTER_NAME (taken or not a plain word), PEFT_TARGET_NOT_FOUND, PEFT_BLOCKS_REPEATED
   */
  addAdapter(name: string, spec: MethodSpec, options: AttachOptions = {}): Adapter {
    requireFreeName(name, this.#adapters);
    this.#refuseMerged('add an adapter');
    const adapter = this.#form.around(spec, this, () =>
      withBorrowed(
        (keep) => this.#weightHost(keep),
        (host) =>
          onHost(this.engine, () => attachAdapter(name, spec, this.description, host, options)),
      ),
    );
    this.#adapters.set(name, adapter);
    this.#active = [name];
    return adapter;
  }

  /** @throws PEFT_ADAPTER_UNKNOWN with the nearest names */
  adapter(name: string): Adapter {
    const found = this.#adapters.get(name);
    if (found) return found;
    const present = `The model has: ${this.adapterNames.join(', ') || 'none'}.`;
    throw new PeftError('PEFT_ADAPTER_UNKNOWN', `there is no adapter "${name}".`, {
      hint: `${didYouMean(name, this.#adapters.keys())} ${present}`.trim(),
    });
  }

  /**
   * Whether sequences with this adapter can share a batch with sequences of other adapters
   * (`RunOptions.assignment`): where it changes rows alone, as LoRA and IA3 do.
   */
  isMixable(name: string): boolean {
    return unmixableAt(this.description, this.adapter(name)) === undefined;
  }

  /** Puts adapters in force, the later around the earlier; none for the bare model. */
  setActiveAdapters(...names: readonly string[]): void {
    for (const name of names) this.adapter(name);
    this.#refuseMerged('change the active adapters');
    this.#active = [...new Set(names)];
  }

  /** Runs `body` on the bare model. */
  withAdaptersDisabled<T>(body: () => T): T {
    const outer = this.#active;
    const merged = this.#merged;
    this.#active = [];
    this.#merged = undefined;
    try {
      return body();
    } finally {
      this.#active = outer;
      this.#merged = merged;
    }
  }

  deleteAdapter(name: string): void {
    const adapter = this.adapter(name);
    this.#refuseMerged('delete an adapter');
    this.#active = this.#active.filter((other) => other !== name);
    this.#adapters.delete(name);
    adapter.dispose();
    this.#form.settle(this.#adapters);
  }

  /** Trainable parameters of the active adapters, in the order in which they were made. */
  trainables(): OwnedParameter[] {
    return this.#active.map((name) => this.adapter(name)).flatMap(trainablesOf);
  }

  /**
   * Elements that train, and elements in all: the base model plus what the active adapters added.
   */
  parameterCounts(): { readonly trainable: number; readonly total: number } {
    return adapterCounts(
      this.description,
      this.#active.map((name) => this.adapter(name)),
    );
  }

  /**
   * Runs the model on a packed batch.
   * @returns tensors of the enclosing tidy scope: call it inside `tf.tidy`, or dispose them.
   * @throws PEFT_BATCH_SHARED where sequences that share their start meet what needs them whole
   */
  forward(batch: ModelBatch, options: RunOptions = {}): ModelOutput {
    if (this.#isDisposed)
      throw new PeftError('PEFT_MODEL_DISPOSED', 'the model was disposed of.', {
        hint: 'load it again',
      });
    const { architecture, config } = this;
    return forwardPass({ architecture, config, host: this.#runHost(options) }, batch, options);
  }

  /**
   * Folds adapters into copies of the weights; the base is kept, so that `unmergeAdapters` is
   * exact. What is merged into a quantised weight is its dequantised values, in float32: exact
   * beside this base, not beside the weights it was quantised from.
   * @returns how far the merged model's results lie from those with the adapters beside it, and what
   *   to tell the user.
   * @throws PEFT_MERGE_INEXACT when a method cannot be merged, or another layer reads a weight that
   *   would change
   */
  mergeAdapters(...names: readonly string[]): MergeResult {
    this.#refuseMerged('merge');
    const chosen = names.length ? names : this.#active;
    const weights = new Map<string, FrozenWeight | Tensor>();
    try {
      const host = this.#weightHost();
      const adapters = chosen.map((name) => this.adapter(name));
      onHost(this.engine, () => mergeInto(weights, adapters, host.readBase, host));
      const active = this.#probe(chosen);
      this.#merged = { names: chosen, weights };
      const merged = this.#probe();
      const deviation = active && merged && deviationOf(active, merged);
      const quantized = [...weights.keys()].filter((name) => isQuantized(this.#base(name)));
      return { deviation, warnings: mergeWarnings(quantized, deviation, this.engine) };
    } catch (error) {
      for (const weight of weights.values()) weight.dispose();
      this.#merged = undefined;
      throw error;
    }
  }

  /** Takes merged adapters out again: the base weights are the very bytes from before. */
  unmergeAdapters(): void {
    for (const weight of this.#merged?.weights.values() ?? []) weight.dispose();
    this.#merged = undefined;
  }

  /**
   * Makes merged weights the base and deletes all adapters; new ones go on top.
   * @returns what `mergeAdapters` returns. @throws PEFT_MERGE_INEXACT; nothing has changed then.
   */
  mergeAndUnload(...names: readonly string[]): MergeResult {
    const result = this.mergeAdapters(...names);
    for (const [name, weight] of this.#merged!.weights) {
      this.#folded.get(name)?.dispose();
      this.#folded.set(name, isFrozen(weight) ? weight : freezeTensor(weight));
    }
    this.#merged = undefined;
    for (const name of this.adapterNames) this.deleteAdapter(name);
    return result;
  }

  /**
   * Multiplies an adapter's strength (LoRA's scaling) at every site.
   * @throws PEFT_ADAPTER_SCALE when its methods have no strength to change
   */
  rescaleAdapter(name: string, factor: number): void {
    rescale(this.adapter(name), factor);
  }

  /** A line for each adapter. */
  adapterStatus(): readonly AdapterStatus[] {
    return this.adapterNames.map((name) =>
      statusOf(this.description, this.adapter(name), {
        isActive: this.#active.includes(name),
        isMerged: this.mergedAdapters.includes(name),
      }),
    );
  }

  /** float32 values of a parameter in force: merged, else base; the caller disposes. */
  readParameter(name: string): Tensor {
    const merged = this.#merged?.weights.get(name);
    if (!merged) return this.#weightHost().readBase(name);
    return onHost(this.engine, () => readTensor(merged));
  }

  /**
   * float32 values of a parameter with the active adapters folded in, made when it is asked for:
   * what a model is exported with, a tensor at a time. The caller disposes.
   * @throws PEFT_MERGE_INEXACT
   */
  readFoldedParameter(name: string): Tensor {
    if (this.#merged) return this.readParameter(name);
    return foldParameter(name, this.#folding());
  }

  /**
   * The same in pieces of whole rows, of at most `most` values unless a row has more; what an adapter
   * changes comes as a whole. The caller disposes each. @throws PEFT_MERGE_INEXACT
   */
  readFoldedRows(name: string, most: number): Iterable<Tensor> {
    if (this.#merged) return [this.readParameter(name)];
    return foldParameterRows(name, this.#folding(), most);
  }

  /**
   * That the active adapters can be folded into the weights.
   * @throws PEFT_MERGE_INEXACT naming the first method and place where they cannot
   */
  checkMergeable(): void {
    if (!this.#merged) checkMergeable(this.#folding());
  }

  #folding(): Folding {
    const adapters = this.#active.map((active) => this.adapter(active));
    const { readBase } = this.#weightHost();
    return { adapters, base: (name) => this.#base(name), read: readBase, engine: this.engine };
  }

  /** float32 values of a base parameter, whatever is merged or trained; the caller disposes. */
  readBaseParameter(name: string): Tensor {
    return this.#weightHost().readBase(name);
  }

  /**
   * Brings what adapters have learnt to host memory, where the engine's is a device's: merging,
   * folding and reading parameters is done there, and cannot wait. A pass takes it to the device
   * again. Nothing to do on other engines.
   */
  async toHost(...names: readonly string[]): Promise<void> {
    if (!hasDeviceMemory(this.engine)) return;
    for (const name of names.length > 0 ? names : this.adapterNames)
      for (const parameter of this.adapter(name).parameters.values()) await parameter.toHost();
  }

  /** Frees base weights and adapters. The engine stays. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.unmergeAdapters();
    for (const adapter of this.#adapters.values()) adapter.dispose();
    this.#adapters.clear();
    this.#active = [];
    for (const weight of this.#folded.values()) weight.dispose();
    this.#folded.clear();
    this.weights.dispose();
    for (const tensors of this.#constants.values()) tf.dispose([...tensors]);
    this.#constants.clear();
    this.#isDisposed = true;
  }

  /** Results of the probe batch, with some adapters in force or as it is. */
  #probe(active = this.#active): Float32Array | undefined {
    const batch = probeBatch(this.description, this.configJson);
    if (!batch || hasDeviceMemory(this.engine)) return undefined; // which cannot be read at once
    const outer = this.#active;
    this.#active = active;
    try {
      return tf.tidy(() => probedValues(this.forward(batch, { logitRows: 'last' })));
    } finally {
      this.#active = outer;
    }
  }

  #base(name: string): FrozenWeight | Tensor {
    return this.#folded.get(name) ?? this.weights.get(name);
  }

  #holds(name: string): boolean {
    return this.#folded.has(name) || (this.weights.holds?.(name) ?? true);
  }

  #refuseMerged(what: string): void {
    if (this.#merged)
      throw new PeftError(
        'PEFT_ADAPTER_MERGED',
        `cannot ${what} while ${this.#merged.names.join(', ')} is merged.`,
        { hint: 'call unmergeAdapters() first' },
      );
  }

  #runHost({ window }: RunOptions): RunHost {
    const merged = this.#merged;
    return {
      description: this.description,
      active: merged ? [] : this.#active.map((name) => this.adapter(name)),
      adapter: (name) => this.adapter(name),
      baseWeight: (name) => merged?.weights.get(name) ?? this.#base(name),
      holds: (name) => this.#holds(name),
      stage: window ?? this.stage,
      constants: this.#constants,
    };
  }

  #weightHost(keep?: KeepBorrowed): WeightHost {
    return weightHostOf({
      base: (name) => this.#base(name),
      holds: (name) => this.#holds(name),
      sharedWeight: (name) => this.weights.shared?.(name),
      hostValues: (name) => (this.#folded.has(name) ? undefined : this.weights.hostValues?.(name)),
      borrow: keep && this.weights.borrow,
      keep,
      engine: this.engine,
    });
  }
}
