/**
 * The LoRA that comes nearest to what adapters of any method change, as far as they can be merged:
 *
 *   B·A = U_r·diag(S_r)·V_rᵀ of ΔW = W' − W = U·diag(S)·Vᵀ
 *
 * keeps the share Σ_{k ≤ r} S_k² / Σ S_k² of the update's energy, the largest that a matrix of rank r
 * can (Eckart and Young 1936).
 */
import * as tf from '@tensorflow/tfjs';
import type { Adapter, Model } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { dominantSvd, type Svd } from '@peft/ops';
import { lora } from '../lora.js';
import { assignSvd, matricesAt, patternOf, sizesOf, type LowRankSite } from './low-rank-sites.js';

/** How much of one site's update the new adapter has. */
export interface SiteEnergy {
  readonly path: string;
  readonly rank: number;
  /** Σ of the squares of the update's elements. */
  readonly energy: number;
  /** Of which the new adapter has so much. */
  readonly keptEnergy: number;
}

/** What became of adapters as one LoRA. */
export interface NearestLora {
  readonly adapter: Adapter;
  readonly sites: readonly SiteEnergy[];
  /** Kept energy of all sites as a share of the whole, from 0 to 1. */
  readonly keptShare: number;
}

/**
 * Puts the LoRA nearest to the active adapters on the model, under a name of its own, and makes it
 * the active one; α = r. Biases, norms and whole modules that they changed go along as they are
 * (`bias`, `modulesToSave`).
 *
 * @param options.rank of each site; of a smaller one its smaller side.
 * @param options.onSite told of each site before it is decomposed.
 * @throws PEFT_CONFIG_INVALID a bad rank.
 * @throws PEFT_MERGE_INEXACT what an adapter does cannot be merged.
 * @throws PEFT_LORA_NEAREST no matrix changes, or something that LoRA has no place for.
 */
export function nearestLora(
  model: Model,
  newName: string,
  options: { readonly rank: number; readonly onSite?: (path: string) => void },
): NearestLora {
  check.positiveInteger('lora', 'rank', options.rank);
  model.checkMergeable();
  const changes = changesOf(model);
  const parts = changes.sites.map((site) => {
    options.onSite?.(site.path);
    return decomposed(site, updateOf(model, site), options.rank);
  });
  const adapter = attach(model, newName, parts, changes, options.rank);
  const sites = parts.map(({ site, rank, energy, keptEnergy }) => ({
    path: site.path,
    rank,
    energy,
    keptEnergy,
  }));
  return { adapter, sites, keptShare: shareOf(sites) };
}

const shareOf = (sites: readonly SiteEnergy[]): number => {
  const sum = (of: (site: SiteEnergy) => number): number =>
    sites.reduce((total, site) => total + of(site), 0);
  return Math.min(1, sum(({ keptEnergy }) => keptEnergy) / sum(({ energy }) => energy));
};

/** What active adapters change, by what becomes of it. */
interface Changes {
  /** Decomposed. */
  readonly sites: readonly LowRankSite[];
  readonly bias: 'none' | 'lora_only' | 'all';
  /** Modules that go along whole. */
  readonly modules: readonly string[];
  /** Tables that an adapter's file brought along, of another size than the base's. */
  readonly replaced: readonly string[];
  /** Values of the parameters that go along as they are. */
  readonly values: ReadonlyMap<string, Float32Array>;
}

/** @throws PEFT_LORA_NEAREST */
function changesOf(model: Model): Changes {
  const adapters = model.activeAdapters.map((name) => model.adapter(name));
  const unfrozen = adapters
    .flatMap(({ parameters }) => [...parameters.values()])
    .filter(({ origin }) => origin === 'unfrozen');
  const replaced = unfrozen.filter(({ method, trainable }) => method === 'file' && !trainable);
  const isReplaced = (name: string): boolean => replaced.some((other) => other.name === name);
  const whole = unfrozen.filter(({ method }) => method === 'modulesToSave');
  const changed = model.description.parameters
    .map(({ name }) => name)
    .filter((name) => isTouched(adapters, name) && hasChanged(model, name));
  const sites = new Map<string, LowRankSite>();
  const biases: string[] = [];
  const modules = new Set<string>();
  for (const name of changed.filter((other) => !isReplaced(other))) {
    const site = whole.some((other) => other.name === name) ? undefined : siteOf(model, name);
    if (site) sites.set(name, site);
    else if (/(^|\.)bias$/.test(name)) biases.push(name);
    else modules.add(moduleOf(name));
  }
  if (sites.size === 0)
    throw new PeftError('PEFT_LORA_NEAREST', 'lora: the adapter changes no matrix of a layer.', {
      hint: 'merge it into the model, there is nothing for A and B',
    });
  return {
    sites: [...sites.values()],
    bias: biasOption(
      [...sites.values()],
      biases.filter((name) => !modules.has(moduleOf(name))),
    ),
    modules: [...modules],
    replaced: replaced.map(({ name }) => name),
    values: new Map(
      changed.filter((name) => !sites.has(name)).map((name) => [name, folded(model, name)]),
    ),
  };
}

/** The module that a parameter is of. */
const moduleOf = (name: string): string => name.replace(/\.[^.]+$/, '');

/** Whether an adapter stands where the parameter is, or trains or replaces it. */
function isTouched(adapters: readonly Adapter[], name: string): boolean {
  return adapters.some(
    (adapter) =>
      adapter.unfrozen(name) !== undefined ||
      adapter.replaced.has(name) ||
      adapter.wrappedSites.some(
        (site) =>
          ('weight' in site && site.weight === name) || ('bias' in site && site.bias === name),
      ),
  );
}

/**
 * Where A and B go for a weight; undefined for one that goes along whole: a norm's, or a table that
 * several layers read.
 * @throws PEFT_LORA_NEAREST for what neither can be said of
 */
function siteOf({ description }: Model, name: string): LowRankSite | undefined {
  const readers = description.sites.filter(
    (site): site is LowRankSite =>
      (site.kind === 'linear' || site.kind === 'embedding') && site.weight === name,
  );
  const [site] = readers;
  if (site?.kind === 'linear' && (site.entry || site.isBareParameter))
    throw new PeftError('PEFT_LORA_NEAREST', `lora: ${name} changes, a bare parameter.`, {
      hint: 'merge the adapter into the model instead',
    });
  return readers.length === 1 ? site : undefined;
}

/** Which of PEFT's words has all of these biases. */
function biasOption(sites: readonly LowRankSite[], biases: readonly string[]): Changes['bias'] {
  if (biases.length === 0) return 'none';
  const own = sites.flatMap((site) => (site.kind === 'linear' && site.bias ? [site.bias] : []));
  return biases.every((name) => own.includes(name)) ? 'lora_only' : 'all';
}

function folded(model: Model, name: string): Float32Array {
  const tensor = model.readFoldedParameter(name);
  const values = tensor.dataSync<'float32'>(); // once for each changed parameter
  tensor.dispose();
  return values;
}

function base(model: Model, name: string): Float32Array {
  const tensor = model.readBaseParameter(name);
  const values = tensor.dataSync<'float32'>(); // once for each changed parameter
  tensor.dispose();
  return values;
}

function hasChanged(model: Model, name: string): boolean {
  const before = base(model, name);
  const after = folded(model, name);
  return after.length !== before.length || after.some((value, i) => value !== before[i]);
}

/** ΔW as rows: of a linear site `[out, in]`, of an embedding `[D, V]`. */
function updateOf(model: Model, site: LowRankSite): Float64Array[] {
  const [before, after] = [base(model, site.weight), folded(model, site.weight)];
  const [height, width] = sizesOf(site);
  const isTable = site.kind === 'embedding'; // [V, D] in the file
  return Array.from({ length: height }, (_, row) =>
    Float64Array.from({ length: width }, (_value, column) => {
      const at = isTable ? column * height + row : row * width + column;
      return after[at]! - before[at]!;
    }),
  );
}

interface Decomposed extends Omit<SiteEnergy, 'path'> {
  readonly site: LowRankSite;
  readonly svd: Svd;
}

function decomposed(site: LowRankSite, update: Float64Array[], wanted: number): Decomposed {
  const rank = Math.min(wanted, ...sizesOf(site));
  const svd = dominantSvd(update, rank);
  const squares = (values: Float64Array): number =>
    values.reduce((sum, value) => sum + value * value, 0);
  const energy = update.reduce((sum, row) => sum + squares(row), 0);
  return { site, rank, svd, energy, keptEnergy: squares(svd.values) };
}

function attach(
  model: Model,
  newName: string,
  parts: readonly Decomposed[],
  { bias, modules, replaced, values }: Changes,
  rank: number,
): Adapter {
  const ranks = new Map(parts.map((part) => [part.site, part.rank]));
  const spec = lora({
    rank,
    alpha: rank,
    bias,
    targets: parts.map(({ site }) => site.path),
    rankPattern: patternOf(ranks, rank),
    alphaPattern: patternOf(ranks, rank),
    layerReplication: model.description.repeatedBlocks,
    modulesToSave: modules,
    ensureWeightTying: true,
  });
  const adapter = model.addAdapter(newName, spec, { alsoReplace: replaced });
  try {
    for (const { site, svd } of parts) assignSvd(matricesAt(adapter, site)!, svd);
    for (const [name, own] of values) assign(adapter, name, own);
  } catch (error) {
    model.deleteAdapter(newName);
    throw error;
  }
  return adapter;
}

/** @throws PEFT_LORA_NEAREST for a change that the new adapter has no place for */
function assign(adapter: Adapter, name: string, values: Float32Array): void {
  const parameter = adapter.unfrozen(name);
  if (!parameter)
    throw new PeftError('PEFT_LORA_NEAREST', `lora: ${name} changes, which LoRA leaves alone.`, {
      hint: 'merge the adapter into the model instead',
    });
  tf.tidy(() => parameter.value.assign(tf.tensor(values, [...parameter.shape])));
}
