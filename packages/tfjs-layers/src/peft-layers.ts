/**
 * Adapters on a tfjs layers model. Core holds them as it does on its own models; here are the
 * layers' calls and what trains.
 */
import * as tf from '@tensorflow/tfjs';
import type { LayersModel, Tensor } from '@tensorflow/tfjs';
import {
  loadAdapter,
  Model,
  saveAdapter,
  type Adapter,
  type AttachOptions,
  type FittingSpec,
  type LoadAdapterOptions,
  type LoadedAdapter,
  type MethodSpec,
  type OwnedParameter,
  type SaveAdapterOptions,
  type Site,
  type SiteKind,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { freezeTensor } from '@peft/ops';
import { makeDifferentiable } from './differentiable-attention.js';
import { describeLayers, type DescribedLayers } from './layer-sites.js';
import type { LayerWeight, TfLayer, TfModel } from './layer-shape.js';
import { layersArchitecture, type LayerBatch } from './layers-architecture.js';
import { createLayersEngine } from './layers-engine.js';
import { refreshTraining } from './refresh-training.js';
import { callWithAdapters } from './wrap-layer.js';

/** What of a layers model every adapter trains. */
export interface PeftLayersOptions {
  /**
   * Layers that every adapter trains whole, a fresh classifier say; left out of `all-linear`.
   * Default none.
   */
  readonly headLayers?: readonly string[];
}

/** Kinds of sites that a layers model has: no virtual tokens, no residual branches. */
export type LayerKind = 'linear' | 'norm' | 'embedding' | 'parameter';

/**
 * A layers model of tfjs with adapters on its layers. `dispose` gives the layers back as they were.
 */
export class PeftLayers {
  /** Core's view of the model: adapters, status, merging. */
  readonly core: Model;
  readonly #described: DescribedLayers;
  /** Undoes what was done to the layers, last first. */
  readonly #undo: (() => void)[] = [];
  #calls = 0;
  #isDisposed = false;

  /** Use `peft`. */
  constructor(
    readonly model: LayersModel,
    { headLayers = [] }: PeftLayersOptions = {},
  ) {
    if (wrapped.has(model))
      throw new PeftError('PEFT_LAYERS_TWICE', `layers: ${model.name} carries adapters already.`, {
        hint: 'add another with addAdapter on what peft() returned',
      });
    // with the members that tfjs's types keep to themselves
    const described = describeLayers(model as unknown as TfLayer, headLayers);
    const engine = createLayersEngine();
    const views: Tensor[] = [];
    const weights = new Map(
      [...described.weights].map(([name, { spec, weight }]) => [
        name,
        spec.use === 'vector'
          ? vectorOf(spec.shape, weight, views)
          : engine.view(name, spec.shape, spec.transposed ?? false, () => weight.read()),
      ]),
    );
    this.#described = described;
    this.core = new Model(
      layersArchitecture,
      {},
      { model_type: 'tfjs-layers' },
      described.description,
      {
        get: (name) => weights.get(name)!,
        fresh: [],
        byteLength: described.description.parameters.reduce(
          (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 4),
          0,
        ),
        dispose: () => tf.dispose(views), // the rest is the layers'
      },
      engine,
    );
    wrapped.add(model);
    this.#wrap();
  }

  /**
   * Puts a further adapter on the model and makes it the active one.
   * @throws PEFT_ADAPTER_NAME, PEFT_TARGET_NOT_FOUND; PEFT_METHOD_UNSUPPORTED for a method that
   *   needs the gradients of each step (AdaLoRA)
   */
  addAdapter<Kinds extends SiteKind>(
    name: string,
    method: MethodSpec<Kinds> & FittingSpec<Kinds, LayerKind>,
    options: AttachOptions = {},
  ): Adapter {
    const active = this.core.activeAdapters;
    tf.tidy(() => void this.core.addAdapter(name, method as MethodSpec, options));
    const adapter = this.core.adapter(name);
    if (adapter.stepHooks.length > 0) {
      this.core.deleteAdapter(name);
      this.core.setActiveAdapters(...active);
      throw new PeftError(
        'PEFT_METHOD_UNSUPPORTED',
        `${method.name}: it works on the gradients of each step, which model.fit does not tell.`,
        { hint: 'choose another method, or train with @peft/trainer' },
      );
    }
    refreshTraining(this.model);
    return adapter;
  }

  /**
   * Puts adapters in force, the later around the earlier; none for the bare model. Frozen stays
   * what it was.
   */
  setActiveAdapters(...names: readonly string[]): void {
    this.core.setActiveAdapters(...names);
    refreshTraining(this.model);
  }

  deleteAdapter(name: string): void {
    this.core.deleteAdapter(name);
    refreshTraining(this.model);
  }

  /**
   * Folds the active adapters into copies of the weights, or those named.
   * @throws PEFT_MERGE_INEXACT
   */
  merge(...names: readonly string[]): void {
    tf.tidy(() => void this.core.mergeAdapters(...names));
  }

  /** Takes them out again; the layers' weights are the very bytes from before. */
  unmerge(): void {
    this.core.unmergeAdapters();
  }

  /**
   * Writes the active adapters into the layers' own weights and takes everything else off: an
   * ordinary model, trainable as it was.
   * @throws PEFT_MERGE_INEXACT; nothing has changed then
   */
  mergeAndUnload(): LayersModel {
    const adapters = this.core.activeAdapters.map((name) => this.core.adapter(name));
    const changed = new Set(
      adapters.flatMap((adapter) => [
        ...[...adapter.parameters.values()]
          .filter(({ origin }) => origin === 'unfrozen')
          .map(({ name }) => name),
        ...adapter.replaced.keys(),
        ...adapter.wrappedSites.flatMap(parametersOf),
      ]),
    );
    if (this.core.mergedAdapters.length === 0) this.merge();
    for (const name of changed) {
      const { spec, weight } = this.#described.weights.get(name)!;
      const logical = this.core.readParameter(name);
      tf.tidy(
        () =>
          void weight.write(
            tf.reshape(spec.transposed ? tf.transpose(logical) : logical, weight.shape as number[]),
          ),
      );
      logical.dispose();
    }
    this.dispose();
    return this.model;
  }

  /**
   * Writes an adapter in PEFT's layout, or its method's own.
   * @throws what `saveAdapter` of @peft/core throws
   */
  async save(
    folder: string,
    options: SaveAdapterOptions & { readonly name?: string } = {},
  ): Promise<void> {
    const { name = this.core.activeAdapters[0] ?? 'default', ...rest } = options;
    await saveAdapter(this.core, name, folder, rest);
  }

  /**
   * Reads an adapter and makes it the active one. @throws what `loadAdapter` of @peft/core throws
   */
  async load(folder: string, options: LoadAdapterOptions): Promise<LoadedAdapter> {
    const loaded = await loadAdapter(this.core, folder, options);
    refreshTraining(this.model);
    return loaded;
  }

  /** Parameters that train, and parameters in all. */
  parameterCounts(): { readonly trainable: number; readonly total: number } {
    return this.core.parameterCounts();
  }

  /** Takes every adapter off and frees it; the model is as it was before `peft`. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    for (const undo of this.#undo.splice(0).reverse()) undo();
    this.core.dispose();
    wrapped.delete(this.model);
    refreshTraining(this.model);
  }

  #wrap(): void {
    const sites = new Map(this.#described.description.sites.map((site) => [site.path, site]));
    // as above; a Sequential keeps a model of its own within
    const containers = [
      this.model as unknown as TfModel,
      (this.model as unknown as TfModel).model,
    ].filter((part) => part !== undefined);
    for (const part of containers)
      this.#replace(part, 'weights', () => snapshots.get(part)!, snapshotOf(part));
    for (const { path, layer } of this.#described.layers) {
      if (Array.isArray(layer.layers)) {
        this.#replace(layer, 'weights', () => snapshots.get(layer)!, snapshotOf(layer));
        continue;
      }
      const own = snapshotOf(layer);
      this.#replace(layer, 'nonTrainableWeights', () => own, own);
      this.#replace(layer, 'weights', () => own, own);
      this.#replace(layer, 'trainableWeights', () => this.#trainablesAt(path));
      this.#replace(layer, 'losses', () => this.#lossesAt(path));
      this.#wrapCall(layer, sites.get(path));
    }
  }

  #wrapCall(layer: TfLayer, site: Site | undefined): void {
    const original = layer.call.bind(layer);
    const kind = layer.getClassName();
    if (kind === 'MultiHeadAttention') this.#undo.push(makeDifferentiable(layer));
    if (!site && kind !== 'BatchNormalization') return;
    const call: TfLayer['call'] = (inputs, kwargs) => {
      // its moving averages are frozen
      if (!site) return original(inputs, { ...kwargs, training: false });
      // its own call has no gradient
      if (kind !== 'EinsumDense' && !this.#isTouched(site)) return original(inputs, kwargs);
      return tf.tidy(() => {
        const input = Array.isArray(inputs) ? inputs[0]! : inputs;
        this.#calls += 1;
        const offsets = Int32Array.of(0, Math.max(1, input.shape[0] ?? 1));
        const batch: LayerBatch = {
          inputIds: new Int32Array(0),
          offsets,
          body: (run) => callWithAdapters(site, layer, input, run),
        };
        return this.core.forward(batch, {
          training: kwargs?.['training'] === true,
          randomParts: [this.#calls],
        }).hidden;
      });
    };
    Object.assign(layer, { call });
    this.#undo.push(() => void delete (layer as { call?: unknown }).call);
  }

  /** Whether anything in force changes what the site computes. */
  #isTouched(site: Site): boolean {
    if (this.core.mergedAdapters.length > 0) return true;
    return this.core.activeAdapters.some((name) => {
      const adapter = this.core.adapter(name);
      return (
        adapter.at(site.kind, site.path).length > 0 ||
        parametersOf(site).some(
          (parameter) =>
            adapter.unfrozen(parameter) !== undefined || adapter.replaced.has(parameter),
        )
      );
    });
  }

  /**
   * The active adapters' parameters, as weights of the layer that they stand on; what belongs to no
   * site goes to the first layer.
   */
  #trainablesAt(path: string): LayerWeight[] {
    if (this.core.mergedAdapters.length > 0) return [];
    const first = this.#described.layers.find(({ layer }) => !Array.isArray(layer.layers))!.path;
    return this.core
      .trainables()
      .filter((parameter) => (this.#ownerOf(parameter) ?? first) === path)
      .map(asLayerWeight);
  }

  #ownerOf({ site, origin, name }: OwnedParameter): string | undefined {
    const path = origin === 'unfrozen' ? name.slice(0, name.lastIndexOf('.')) : site?.path;
    const owners = this.#described.layers.filter(
      (placed) => path === placed.path || path?.startsWith(`${placed.path}.`),
    );
    // The layer that the model itself lists: an attention answers for its projections.
    return owners.find(({ layer }) => !Array.isArray(layer.layers))?.path;
  }

  #lossesAt(path: string): (() => Tensor)[] {
    const first = this.#described.layers.find(({ layer }) => !Array.isArray(layer.layers))!.path;
    return path === first
      ? this.core.activeAdapters.flatMap((name) => [...this.core.adapter(name).extraLosses])
      : [];
  }

  #replace(target: TfLayer, field: string, get: () => unknown, snapshot?: LayerWeight[]): void {
    if (snapshot) snapshots.set(target, snapshots.get(target) ?? snapshot);
    Object.defineProperty(target, field, { configurable: true, get, set: () => undefined });
    this.#undo.push(() => {
      delete (target as Record<string, unknown>)[field];
      snapshots.delete(target);
    });
  }
}

const wrapped = new WeakSet<LayersModel>();
/** A layer's weights in their order before anything was wrapped. */
const snapshots = new WeakMap<object, LayerWeight[]>();
const snapshotOf = (layer: TfLayer): LayerWeight[] => [...layer.weights];

/**
 * A layer's small tensor in its logical shape (an EinsumDense's bias is `[heads, size]`). Marked
 * frozen, so that no gradient is made for it.
 */
function vectorOf(shape: readonly number[], weight: LayerWeight, views: Tensor[]): Tensor {
  const value = weight.read();
  if (value.shape.join() === shape.join()) return freezeTensor(value);
  const view = tf.keep(tf.reshape(value, [...shape]));
  views.push(view);
  return freezeTensor(view);
}

const parametersOf = (site: Site): string[] =>
  'weight' in site
    ? [site.weight, ...('bias' in site && site.bias !== undefined ? [site.bias] : [])]
    : [];

/** An adapter's parameter in the clothes of a layer's weight. */
function asLayerWeight({ name, shape, value }: OwnedParameter): LayerWeight {
  return {
    originalName: name,
    shape,
    trainable: true,
    read: () => value,
    write: (made) => value.assign(made),
  };
}
