/**
 * The subspaces of a layer: rows of its left singular vectors, clustered. PEFT's files hold neither
 * vectors nor clusters, so that both are found here as there: PyTorch's `svd_lowrank`, then
 * scikit-learn's k-means.
 */
import type { SiteHandle } from '@peft/core';
import { PeftError } from '@peft/errors';
import {
  mersenneTwister,
  randomizedSvd,
  rowsOf,
  torchNormal,
  truncatedSvd,
  type Rows,
} from '@peft/ops';
import type { AdamssConfig, Piece } from './adamss-config.js';
import { kMeans, ofSizes, type Clusters } from './k-means.js';

/** One subspace of a layer. */
export interface Subspace extends Piece {
  /** Outputs that belong to it, ascending. */
  readonly outputs: Int32Array;
  /** What A starts from, `[rank, r]`. */
  start(): Float32Array;
}

/** The r largest directions of a layer's `[W, b]`, and the subspaces of its outputs. */
export interface Subspaces {
  /** V `[r, in]`, `[r, in + 1]` with a bias. */
  readonly directions: Float32Array;
  readonly parts: readonly Subspace[];
}

/** PEFT's: rounds of power iteration, rounds of k-means, its seed. */
const POWER_ROUNDS = 2;
const CLUSTER_ROUNDS = 10;
const CLUSTER_SEED = 123456789;
/** Of the rows' variance: what single precision leaves open. */
const UNDECIDED = 1e-4;

/** What a layer's subspaces are where no weight says more: as many outputs in each. */
export function evenPieces(outputs: number, { subspaces, subspaceRank }: AdamssConfig): Piece[] {
  const count = Math.min(subspaces, outputs);
  return Array.from({ length: count }, (_, i) => {
    const rows = Math.floor(outputs / count) + Number(i < outputs % count);
    return { rows, rank: Math.min(subspaceRank, rows) };
  });
}

/**
 * The subspaces of a layer with weights.
 * @param pieces as a file has them
 * @throws PEFT_ADAPTER_MISMATCH where the weights give others
 */
export function subspacesOf(
  site: SiteHandle<'linear'>,
  config: AdamssConfig,
  rank: number,
  pieces: readonly Piece[] | undefined,
): Subspaces {
  const weight = rowsWithBias(site);
  const { left, right } = lowRankSvd(weight, rank, config.seed);
  const points: Rows = weight.map((_row, o) => Float64Array.from(left, (vector) => vector[o]!));
  const count = Math.min(config.subspaces, points.length);
  const clusters = kMeans(points, count, CLUSTER_ROUNDS, CLUSTER_SEED);
  const labels = pieces ? settled(clusters, pieces, site.path) : clusters.labels;
  const members = Array.from({ length: count }, (_, k) =>
    Int32Array.from(labels.keys()).filter((o) => labels[o] === k),
  );
  const parts = members.map((outputs, k): Subspace => {
    const rows = [...outputs].map((o) => points[o]!);
    const { values, right: axes } = truncatedSvd(rows, Math.min(config.subspaceRank, rows.length));
    const isLarge = (value: number): boolean => value ** 2 > config.threshold * values[0]! ** 2;
    const own = config.dynamicRank
      ? Math.max(1, values.filter(isLarge).length)
      : Math.min(config.subspaceRank, rows.length);
    return {
      rows: rows.length,
      rank: pieces?.[k]?.rank ?? own,
      outputs,
      start: () => Float32Array.from(axes.slice(0, own).flatMap((axis) => [...axis])),
    };
  });
  return { directions: Float32Array.from(right.flatMap((v) => [...v])), parts };
}

/** @throws PEFT_ADAPTER_MISMATCH */
function settled(clusters: Clusters, pieces: readonly Piece[], path: string): Int32Array {
  const sizes = pieces.map(({ rows }) => rows);
  const found = ofSizes(clusters, sizes, UNDECIDED);
  if (found) return found;
  const own = sizes.map((_, k) => clusters.labels.filter((label) => label === k).length);
  throw new PeftError(
    'PEFT_ADAPTER_MISMATCH',
    `adamss: the file has subspaces of ${sizes.join(', ')} outputs at ${path}, and this base's are of ${own.join(', ')}.`,
    {
      hint: 'which output belongs where follows from the base weight: load the very base (and quantisation) that it was trained on',
    },
  );
}

/** [W, b], as float64. */
function rowsWithBias(site: SiteHandle<'linear'>): Rows {
  const weight = site.dequantizedWeight();
  const rows = rowsOf(weight.dataSync(), site.outFeatures, site.inFeatures);
  weight.dispose();
  const own = site.baseBias();
  const bias = own?.dataSync();
  own?.dispose();
  return bias ? rows.map((row, o) => Float64Array.of(...row, bias[o]!)) : rows;
}

/** As `torch.svd_lowrank` after `torch.manual_seed(seed)`: of the transpose where that is taller. */
function lowRankSvd(w: Rows, rank: number, seed: number): { left: Rows; right: Rows } {
  const isTurned = w.length < w[0]!.length;
  const tall = isTurned ? transposed(w) : w;
  const width = tall[0]!.length;
  const drawn = torchNormal(mersenneTwister(seed), width * rank, 1);
  const start = Array.from({ length: rank }, (_, k) =>
    Float64Array.from({ length: width }, (_value, j) => drawn[j * rank + k]!),
  );
  const { left, right } = randomizedSvd(tall, rank, POWER_ROUNDS, start);
  return isTurned ? { left: right, right: left } : { left, right };
}

const transposed = (w: Rows): Float64Array[] =>
  Array.from({ length: w[0]!.length }, (_, j) => Float64Array.from(w, (row) => row[j]!));
