/**
 * EVA: A starts with the principal directions of what a layer reads, B with zero, and ranks move to
 * the layers whose directions explain more. Paischer et al. 2024, "Parameter Efficient Fine-tuning
 * via Explained Variance Adaptation", algorithm 1:
 *
 *   X = Σ_k σ_k·u_k·v_kᵀ for each layer, A = [v_1 … v_r']
 *   of all (layer, k) the Σ r with the largest σ_k²/Σ σ² count, at most ρ·r of a layer
 *
 * Layers that read the same input share their directions.
 */
import { type ModelBatch, type StartFromData } from '@peft/core';
import { PeftError } from '@peft/errors';
import { IGNORED_LABEL, readValues, rowsOf, type Rows } from '@peft/ops';
import { strengthAt, type LoraConfig } from '../lora-config.js';
import type { DataStart } from './data-start-options.js';
import type { StartMatrices } from './given-start.js';
import { addRows, type Principal } from './incremental-pca.js';
import { observeInputs, type InputObserver, type LayerInput } from './observe-inputs.js';

/** Passes over micro-batches after which directions that still turn are an error. */
const MOST_PASSES = 1000;

/** Start matrices and ranks by path. A rank may be 0. */
export interface EvaStart {
  readonly matrices: ReadonlyMap<string, StartMatrices>;
  readonly ranks: ReadonlyMap<string, number>;
}

/** Layers that read one input. */
interface Group {
  readonly paths: readonly string[];
  readonly count: number;
  state?: Principal;
  settled: readonly boolean[];
}

/** @throws PEFT_CONFIG_INVALID, PEFT_START_NOT_SETTLED */
export async function evaStart(
  config: LoraConfig,
  options: DataStart,
  { model, part, data }: StartFromData,
): Promise<EvaStart> {
  const observer = observeInputs(model, part);
  try {
    const groups: Group[] = [];
    let ranks: ReadonlyMap<string, number> = new Map();
    for (let pass = 0; pass < MOST_PASSES;) {
      const before = pass;
      for await (const batch of data.batches(options.batches)) {
        if (groups.length > 0 && groups.every((group) => isSettled(group, ranks)))
          return chosen(groups, ranks, options);
        const inputs = await readInputs(observer, batch, options);
        if (groups.length === 0) groups.push(...groupsOf(inputs, config, options));
        for (const group of groups.filter((each) => !isSettled(each, ranks)))
          learn(group, inputs.get(group.paths[0]!)!, options.tau);
        if (groups.every(({ state }) => state)) ranks = ranksOf(groups, config);
        pass += 1;
      }
      if (pass === before) break;
    }
  } finally {
    observer.dispose();
  }
  throw new PeftError(
    'PEFT_START_NOT_SETTLED',
    `lora: init 'eva': after ${MOST_PASSES} micro-batches directions still turn by more than tau ${options.tau}.`,
    { hint: 'lower tau, or give larger micro-batches' },
  );
}

/** All directions that a rank takes have settled. */
const isSettled = ({ paths, count, settled }: Group, ranks: ReadonlyMap<string, number>): boolean =>
  settled.slice(0, ranks.get(paths[0]!) ?? count).every(Boolean);

function learn(group: Group, rows: Rows, tau: number): void {
  if (rows.length < group.count) return; // too few tokens for so many directions: the next batch may have them
  const before = group.state;
  group.state = addRows(before, rows, group.count);
  if (!before) return;
  group.settled = group.state.directions.map((direction, k) => {
    const old = before.directions[k]!;
    return direction.reduce((sum, value, i) => sum + value * old[i]!, 0) >= tau;
  });
}

function groupsOf(
  inputs: ReadonlyMap<string, Rows>,
  config: LoraConfig,
  { rho }: DataStart,
): Group[] {
  const groups: { rows: Rows; paths: string[] }[] = [];
  for (const [path, rows] of inputs) {
    const same = groups.find((group) => isSame(group.rows, rows));
    if (same) same.paths.push(path);
    else groups.push({ rows, paths: [path] });
  }
  return groups.map(({ paths, rows }) => {
    const wanted = paths.map((path) => roundedToEven(strengthAt(path, config).rank * rho));
    const count = Math.max(...wanted);
    const width = rows[0]?.length ?? count;
    if (count > width)
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `lora: init 'eva' looks for ρ·r = ${count} directions of what ${paths[0]} reads, which has ${width} features.`,
        { hint: 'lower the rank or rho' },
      );
    return { paths, count, settled: Array.from({ length: count }, () => false) };
  });
}

/** As Python's `round` does. */
function roundedToEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

const isSame = (a: Rows, b: Rows): boolean =>
  a.length === b.length && a.every((row, i) => row.every((value, j) => value === b[i]![j]));

/** The Σ r directions that explain the most, of equal ones those of the layers that are first. */
function ranksOf(groups: readonly Group[], config: LoraConfig): ReadonlyMap<string, number> {
  const first = groups.map((group) => ({ path: group.paths[0]!, group }));
  const others = groups.flatMap((group) => group.paths.slice(1).map((path) => ({ path, group })));
  const layers = [...first, ...others];
  const budget = layers.reduce((sum, { path }) => sum + strengthAt(path, config).rank, 0);
  const candidates = layers.flatMap(({ path, group }) =>
    Array.from(group.state!.ratios, (ratio) => ({ path, ratio })),
  );
  candidates.sort((a, b) => b.ratio - a.ratio);
  const ranks = new Map(layers.map(({ path }) => [path, 0]));
  for (const { path } of candidates.slice(0, budget)) ranks.set(path, ranks.get(path)! + 1);
  // the layer whose input was looked at has the most directions of those that share it
  for (const { path, group } of others) {
    const [own, leader] = [ranks.get(path)!, ranks.get(group.paths[0]!)!];
    if (leader >= own) continue;
    ranks.set(group.paths[0]!, own);
    ranks.set(path, leader);
  }
  return ranks;
}

function chosen(
  groups: readonly Group[],
  ranks: ReadonlyMap<string, number>,
  { whiten }: DataStart,
): EvaStart {
  const matrices = new Map<string, StartMatrices>();
  for (const { paths, state } of groups)
    for (const path of paths) {
      const rows = state!.directions
        .slice(0, ranks.get(path))
        .map((direction, k) =>
          whiten ? direction.map((value) => value / Math.sqrt(state!.singular[k]!)) : direction,
        );
      matrices.set(path, { a: Float32Array.from(rows.flatMap((row) => [...row])) });
    }
  return { matrices, ranks };
}

/** What each layer reads of the tokens that count. */
async function readInputs(
  observer: InputObserver,
  batch: ModelBatch & { readonly tokenLabels?: Int32Array },
  { labelledTokens }: DataStart,
): Promise<ReadonlyMap<string, Rows>> {
  const seen = observer.inputs(batch);
  try {
    const read = new Map<string, Rows>();
    for (const [path, { x }] of seen) {
      const rows = rowsOf(await readValues(x), ...x.shape); // decomposed outside of the backend
      const labels = labelledTokens ? batch.tokenLabels : undefined;
      const counts = labels?.length === rows.length ? labels : undefined;
      read.set(path, counts ? rows.filter((_, n) => counts[n] !== IGNORED_LABEL) : rows);
    }
    return read;
  } finally {
    for (const { x } of seen.values() as Iterable<LayerInput>) x.dispose();
  }
}
