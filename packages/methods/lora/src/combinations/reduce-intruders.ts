/**
 * Takes the intruder dimensions of a trained LoRA back: singular directions of W + ΔW that W has
 * nothing like, which go with forgetting. Shuttleworth et al. 2024, "LoRA vs Full Fine-tuning: An
 * Illusion of Equivalence", section 5:
 *
 *   W + ΔW = Σ_k σ_k·u_k·v_kᵀ, k an intruder where max_j |u_k·u⁰_j| < ε, u⁰ those of W
 *   ΔW' = ΔW + (λ − 1)·Σ_intruders σ_k·u_k·v_kᵀ, and its r largest directions are kept
 *
 * From ΔW'/s = U·Σ·Vᵀ: B = U·√Σ, A = √Σ·Vᵀ.
 */
import * as tf from '@tensorflow/tfjs';
import type { Adapter, Model, OwnedParameter } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { rowsOf, truncatedSvd, type Rows } from '@peft/ops';
import { takenOver } from './base-parameters.js';
import { matricesAt, sizesOf, type LowRankSite } from './low-rank-sites.js';

/** What counts as an intruder, and what becomes of it. */
export interface ReduceIntrudersOptions {
  /** How many of the largest directions are looked at. Default 10. */
  readonly directions?: number;
  /** ε: an intruder's largest cosine with the base's directions lies below it. Default 0.5. */
  readonly threshold?: number;
  /** λ: the share of an intruder that stays, in [0, 1]. Default 0.75. */
  readonly share?: number;
}

/** The new adapter, and how many intruders each site had. */
export interface ReducedIntruders {
  readonly adapter: Adapter;
  readonly intruders: ReadonlyMap<string, number>;
}

/**
 * Puts the adapter without its intruders on the model, under a name of its own; it is the active one
 * then. Sites without intruders, and all that is no A or B, are copied. Weights are decomposed
 * whole, in float64: minutes for layers of several thousand features.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_ADAPTER_COMBINE for an adapter that is no plain LoRA
 */
export function reduceIntruders(
  model: Model,
  adapterName: string,
  newName: string,
  { directions = 10, threshold = 0.5, share = 0.75 }: ReduceIntrudersOptions = {},
): ReducedIntruders {
  const owner = 'lora: reduceIntruders';
  check.positiveInteger(owner, 'directions', directions);
  for (const [name, value] of Object.entries({ threshold, share }))
    if (!(typeof value === 'number' && value >= 0 && value <= 1))
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `${owner}: ${name} must lie in [0, 1], got ${value}.`,
      );
  const adapter = model.adapter(adapterName);
  const sites = adapter.wrappedSites.filter(
    (site): site is LowRankSite => site.kind === 'linear' || site.kind === 'embedding',
  );
  const odd = sites.find((site) => !matricesAt(adapter, site));
  if (odd || adapter.replaced.size > 0)
    throw new PeftError(
      'PEFT_ADAPTER_COMBINE',
      `lora: adapter "${adapterName}" is not plain LoRA${odd ? ` at ${odd.path}` : ': its start lies in the base'}.`,
      { hint: 'make it one with toPlainLora or nearestLora' },
    );
  const files = [...adapter.parameters.values()].filter(({ method }) => method === 'file');
  const made = model.addAdapter(newName, adapter.spec, { strict: false, ...takenOver(files) });
  try {
    copyValues(adapter.parameters, made.parameters);
    const intruders = new Map(
      sites.map((site) => [
        site.path,
        reduceAt(model, made, site, { directions, threshold, share }),
      ]),
    );
    return { adapter: made, intruders };
  } catch (error) {
    model.deleteAdapter(newName);
    throw error;
  }
}

function copyValues(
  from: ReadonlyMap<string, OwnedParameter>,
  to: ReadonlyMap<string, OwnedParameter>,
): void {
  for (const [name, { value }] of to) tf.tidy(() => value.assign(tf.clone(from.get(name)!.value)));
}

/** @returns how many intruders there were */
function reduceAt(
  model: Model,
  adapter: Adapter,
  site: LowRankSite,
  { directions, threshold, share }: Required<ReduceIntrudersOptions>,
): number {
  const { a, b, scaling } = matricesAt(adapter, site)!;
  const [height, width] = sizesOf(site);
  const all = Math.min(height, width);
  // decomposed once, outside of the backend
  const before = rowsRead(height, width, () => {
    const table = model.readBaseParameter(site.weight) as tf.Tensor2D;
    return site.kind === 'embedding' ? tf.transpose(table) : table;
  });
  const update = rowsRead(height, width, () => tf.mul(tf.matMul(b.value, a.value), scaling));
  const merged = before.map((row, i) => row.map((value, j) => value + update[i]![j]!));
  const base = truncatedSvd(before, all).left;
  const { values, left, right } = truncatedSvd(merged, Math.min(directions, all));
  const found = left.flatMap((u, k) =>
    Math.max(...base.map((other) => Math.abs(dot(u, other)))) < threshold ? [k] : [],
  );
  if (found.length === 0) return 0;
  const mitigated = update.map((row, i) =>
    row.map((value, j) =>
      found.reduce(
        (sum, k) => sum + (share - 1) * values[k]! * left[k]![i]! * right[k]![j]!,
        value,
      ),
    ),
  );
  const rank = a.shape[0]!;
  const kept = truncatedSvd(
    mitigated.map((row) => row.map((value) => value / scaling)),
    rank,
  );
  const rooted = (vectors: Rows) =>
    vectors.map((vector, k) => Array.from(vector, (value) => value * Math.sqrt(kept.values[k]!)));
  tf.tidy(() => {
    a.value.assign(tf.tensor2d(rooted(kept.right), [rank, width]));
    b.value.assign(tf.transpose(tf.tensor2d(rooted(kept.left), [rank, height])));
  });
  return found.length;
}

function rowsRead(height: number, width: number, make: () => tf.Tensor2D): Rows {
  const matrix = tf.tidy(make);
  const rows = rowsOf(matrix.dataSync(), height, width); // once for each site
  matrix.dispose();
  return rows;
}

const dot = (a: Float64Array, b: Float64Array): number =>
  a.reduce((sum, value, i) => sum + value * b[i]!, 0);
