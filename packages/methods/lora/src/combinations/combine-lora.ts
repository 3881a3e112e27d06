/** A new LoRA adapter out of several: weighted sums of their matrices or of their updates. */
import * as tf from '@tensorflow/tfjs';
import type { Adapter, Model, OwnedParameter } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { randomKey, randomUniform, rowsOf, truncatedSvd } from '@peft/ops';
import { lora } from '../lora.js';
import { matricesOf } from '../variants/lora-linear.js';
import { takenOver } from './base-parameters.js';
import { assignSvd, matricesAt, patternOf, sizesOf, type LowRankSite } from './low-rank-sites.js';
import { checkDensity, combineTensors, type ArithmeticOptions } from './task-arithmetic.js';

/** The ways to make one LoRA adapter of several, by PEFT's names of `combination_type`. */
export const COMBINATIONS = Object.freeze([
  'linear',
  'cat',
  'svd',
  'ties',
  'ties_svd',
  'dare_linear',
  'dare_linear_svd',
  'dare_ties',
  'dare_ties_svd',
  'magnitude_prune',
  'magnitude_prune_svd',
] as const);
/** A way to make one LoRA adapter of several. */
export type Combination = (typeof COMBINATIONS)[number];

/** How LoRA adapters are combined. */
export interface CombineLoraOptions {
  /** One for each adapter; negative ones subtract. */
  readonly weights: readonly number[];
  /**
   * `cat` puts the matrices side by side: exact, ranks add up. `…svd` sums the updates B·A and
   * keeps their largest directions. The others work on A and on B, each weighted by the root, and
   * so add products across adapters. Default `svd`.
   */
  readonly combination?: Combination;
  /** Rank of an `…svd`. Default: the largest of the adapters'. */
  readonly rank?: number;
  /**
   * Share of the elements that pruning keeps, in (0, 1]; with `ties`, `dare` and `magnitude_prune`.
   */
  readonly density?: number;
  /** How `ties` elects a sign. Default `total`. */
  readonly majoritySign?: 'total' | 'frequency';
  /** Seed of what `dare` drops. Default 0. */
  readonly seed?: number;
  /**
   * What `dare` keeps instead: 0 or 1 for each of `count` elements, asked for layer by layer, A of
   * every adapter, then B.
   */
  readonly keep?: (count: number) => ArrayLike<number>;
}

/**
 * Puts a combination of LoRA adapters on the model as a new one, active, with α = r. Its sites are
 * those that any of them has. Whole modules that one adapter alone trained are copied.
 *
 * @throws PEFT_CONFIG_INVALID for bad options.
 * @throws PEFT_ADAPTER_COMBINE adapters that are no plain LoRA, have unequal ranks where the
 *   combination needs equal ones, or train the same module.
 */
export function combineLora(
  model: Model,
  adapterNames: readonly string[],
  newName: string,
  options: CombineLoraOptions,
): Adapter {
  const adapters = adapterNames.map((name) => model.adapter(name));
  const { weights, combination = 'svd' } = options;
  check.oneOf('lora', 'combination', combination, COMBINATIONS);
  if (
    adapters.length === 0 ||
    weights.length !== adapters.length ||
    !weights.every(Number.isFinite)
  )
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `lora: a combination of ${adapters.length} adapters needs as many finite weights, got [${weights.join(', ')}].`,
    );
  const needsDensity =
    combination.startsWith('ties') ||
    combination.startsWith('dare') ||
    combination.startsWith('magnitude');
  if (needsDensity) checkDensity(options.density ?? Number.NaN);
  const sites = lowRankSites(model, adapters);
  const ranks = new Map(
    sites.map((site) => [site, rankOf(site, adapters, combination, options.rank)]),
  );
  const copied = wholeModules(adapters);
  const [first] = ranks.values();
  const spec = lora({
    rank: first!,
    alpha: first!,
    targets: sites.map(({ path }) => path),
    rankPattern: patternOf(ranks, first!),
    alphaPattern: patternOf(ranks, first!),
    layerReplication: model.description.repeatedBlocks,
    modulesToSave: [],
  });
  const made = model.addAdapter(newName, spec, takenOver(copied));
  try {
    const arithmetic: ArithmeticOptions = {
      kind: kindOf(combination),
      density: options.density ?? 1,
      majoritySign: options.majoritySign ?? 'total',
      keep: options.keep ?? randomKeeper(options.seed ?? 0, options.density ?? 1),
    };
    for (const site of sites)
      fill(site, made, adapters, weights, combination, arithmetic, ranks.get(site)!);
    for (const { name, value } of copied) made.parameters.get(name)!.value.assign(value);
  } catch (error) {
    model.deleteAdapter(newName);
    throw error;
  }
  return made;
}

/** `ties_svd` → `ties`; `svd` and `cat` sum. */
const kindOf = (combination: Combination): ArithmeticOptions['kind'] =>
  combination === 'svd' || combination === 'cat'
    ? 'linear'
    : (combination.replace(/_svd$/, '') as ArithmeticOptions['kind']);

function lowRankSites(model: Model, adapters: readonly Adapter[]): LowRankSite[] {
  for (const adapter of adapters) {
    const other = [...adapter.attachments.values()]
      .flat()
      .find(({ attachment }) => !attachment || !matricesOf(attachment));
    if (other || adapter.wrappedSites.length === 0)
      throw new PeftError(
        'PEFT_ADAPTER_COMBINE',
        `adapter "${adapter.name}" cannot be combined: ` +
          `${other ? `it has ${other.method} at ${other.site.path}` : 'it stands on no site'}.`,
        { hint: 'plain LoRA can; merge other adapters into the model' },
      );
  }
  return model.description.sites.filter(
    (site): site is LowRankSite =>
      (site.kind === 'linear' || site.kind === 'embedding') &&
      adapters.some((adapter) => matricesAt(adapter, site) !== undefined),
  );
}

function rankOf(
  site: LowRankSite,
  adapters: readonly Adapter[],
  combination: Combination,
  wanted: number | undefined,
): number {
  const ranks = adapters
    .map((adapter) => matricesAt(adapter, site)?.a.shape[0])
    .filter((rank) => rank !== undefined);
  if (combination === 'cat') return ranks.reduce((sum, rank) => sum + rank, 0);
  if (combination.endsWith('svd')) return Math.min(wanted ?? Math.max(...ranks), ...sizesOf(site));
  if (new Set(ranks).size > 1)
    throw new PeftError(
      'PEFT_ADAPTER_COMBINE',
      `${site.path}: "${combination}" needs equal ranks, got ${ranks.join(', ')}.`,
      { hint: 'use cat or svd' },
    );
  return ranks[0]!;
}

function wholeModules(adapters: readonly Adapter[]): OwnedParameter[] {
  const found = new Map<string, OwnedParameter>();
  for (const adapter of adapters) {
    for (const parameter of adapter.parameters.values()) {
      if (parameter.origin !== 'unfrozen') continue;
      if (found.has(parameter.name))
        throw new PeftError(
          'PEFT_ADAPTER_COMBINE',
          `${parameter.name} was trained by more than one of the adapters.`,
          { hint: 'combine adapters that were trained without modulesToSave' },
        );
      found.set(parameter.name, parameter);
    }
  }
  return [...found.values()];
}

const randomKeeper = (seed: number, density: number): ArithmeticOptions['keep'] => {
  let call = 0;
  return (count) => {
    const key = randomKey(seed, 'dare', (call += 1));
    return Float32Array.from({ length: count }, (_, i) =>
      randomUniform(key, i) < density ? 1 : 0,
    );
  };
};

function fill(
  site: LowRankSite,
  made: Adapter,
  adapters: readonly Adapter[],
  weights: readonly number[],
  combination: Combination,
  arithmetic: ArithmeticOptions,
  rank: number,
): void {
  const terms = adapters.flatMap((adapter, i) => {
    const matrices = matricesAt(adapter, site);
    return matrices ? [{ matrices, weight: weights[i]! }] : [];
  });
  const { a, b } = matricesAt(made, site)!;
  tf.tidy(() => {
    if (combination === 'cat') {
      a.value.assign(
        tf.concat(
          terms.map(({ matrices, weight }) => tf.mul(matrices.a.value, weight * matrices.scaling)),
          0,
        ),
      );
      b.value.assign(
        tf.concat(
          terms.map(({ matrices }) => matrices.b.value),
          1,
        ),
      );
    } else if (combination.endsWith('svd')) {
      const deltas = terms.map(({ matrices }) =>
        tf
          .mul(tf.matMul(matrices.b.value, matrices.a.value), matrices.scaling)
          .dataSync<'float32'>(),
      );
      const sum = combineTensors(
        deltas,
        terms.map(({ weight }) => weight),
        arithmetic,
      );
      const [height, width] = sizesOf(site);
      assignSvd({ a, b }, truncatedSvd(rowsOf(sum, height, width), rank));
    } else {
      // The sign of a weight goes to A alone.
      const roots = terms.map(({ weight, matrices }) =>
        Math.sqrt(Math.abs(weight) * matrices.scaling),
      );
      const signed = roots.map((root, i) => root * Math.sign(terms[i]!.weight));
      a.value.assign(
        tf.tensor2d(
          combineTensors(
            terms.map(({ matrices }) => matrices.a.value.dataSync<'float32'>()),
            signed,
            arithmetic,
          ),
          a.shape as [number, number],
        ),
      );
      b.value.assign(
        tf.tensor2d(
          combineTensors(
            terms.map(({ matrices }) => matrices.b.value.dataSync<'float32'>()),
            roots,
            arithmetic,
          ),
          b.shape as [number, number],
        ),
      );
    }
  });
}
