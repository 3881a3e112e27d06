/** Options of AdaMSS, and its words in adapter_config.json. */
import { optionTable, type AdapterShapes } from '@peft/core';
import { PeftError, show } from '@peft/errors';

/** Outputs of a subspace, and its rank. */
export interface Piece {
  readonly rows: number;
  readonly rank: number;
}

/** Options of AdaMSS. */
export interface AdamssConfig {
  /** r: directions of the weight; of a layer at most its inputs, and fewer than its outputs. Default 100. */
  readonly rank: number;
  /** K: subspaces of a layer. Default 5. */
  readonly subspaces: number;
  /** Rank of a subspace; it never has more than outputs. Default 1. */
  readonly subspaceRank: number;
  /** A subspace's rank counts its large singular values, `subspaceRank` at most. Default false. */
  readonly dynamicRank: boolean;
  /** Share of the largest that makes a squared singular value large. Default 0.1. */
  readonly threshold: number;
  /** Start at the weight itself. `false`: B random, for tests. Default true. */
  readonly initWeights: boolean;
  /** Seed of the decomposition. Default 0. */
  readonly seed: number;
  /** Let subspaces rest that matter least (adaptive subspace allocation). Default false. */
  readonly adaptive: boolean;
  /** Subspaces of all layers that train in the end, less one. Default 50. */
  readonly targetSubspaces: number;
  /** Steps before the first rests. Default 50. */
  readonly initialWarmup: number;
  /** Step of the last. Default 1000. */
  readonly finalWarmup: number;
  /** Steps between two. Default 100. */
  readonly interval: number;
  /** β₁ of the importance. Default 0.85. */
  readonly beta1: number;
  /** β₂ of its uncertainty. Default 0.85. */
  readonly beta2: number;
  /** How the number falls over time, 1: evenly. Default 3. */
  readonly exponent: number;
  /** Each layer's subspaces as a file has them. Default: what the weights give. */
  readonly pieces: Readonly<Record<string, readonly Piece[]>> | undefined;
}

const table = optionTable<AdamssConfig>(
  'adamss',
  {
    rank: { default: 100, is: 'positiveInteger', peft: 'r' },
    subspaces: { default: 5, is: 'positiveInteger', peft: 'num_subspaces' },
    subspaceRank: { default: 1, is: 'positiveInteger', peft: 'subspace_rank' },
    dynamicRank: { default: false, is: 'boolean', peft: 'use_dynamic_rank' },
    threshold: { default: 0.1, is: 'probability', peft: 'svd_threshold' },
    initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
    seed: { default: 0, is: 'nonNegativeInteger', peft: 'random_seed' },
    adaptive: { default: false, is: 'boolean', peft: 'use_asa' },
    targetSubspaces: { default: 50, is: 'positiveInteger', peft: 'asa_target_subspaces' },
    initialWarmup: { default: 50, is: 'nonNegativeInteger', peft: 'init_warmup' },
    finalWarmup: { default: 1000, is: 'positiveInteger', peft: 'final_warmup' },
    interval: { default: 100, is: 'positiveInteger', peft: 'mask_interval' },
    beta1: { default: 0.85, is: 'probability', peft: 'asa_importance_beta' },
    beta2: { default: 0.85, is: 'probability', peft: 'asa_uncertainty_beta' },
    exponent: { default: 3, is: 'positive', peft: 'asa_schedule_exponent' },
    pieces: { default: undefined, is: refuseBadPieces },
  },
  {
    refuse({ rank, subspaceRank, adaptive, initialWarmup, finalWarmup }) {
      if (subspaceRank > rank)
        throw new PeftError(
          'PEFT_CONFIG_INVALID',
          `adamss: subspaceRank must be at most rank, got ${subspaceRank} over ${rank}.`,
        );
      if (adaptive && initialWarmup >= finalWarmup)
        throw new PeftError(
          'PEFT_CONFIG_INVALID',
          `adamss: initialWarmup must be below finalWarmup, got ${initialWarmup} and ${finalWarmup}.`,
        );
    },
  },
);

/** Parser, PEFT's words both ways; a file's shapes say how large its subspaces are. */
export const adamssOptions = {
  ...table,
  toPeftConfig: (...given: Parameters<typeof table.toPeftConfig>): Record<string, unknown> => ({
    ...table.toPeftConfig(...given),
    init_weights: given[0].initWeights ? 'orthogonal' : null,
  }),
  fromPeftConfig(
    json: Readonly<Record<string, unknown>>,
    shapes: AdapterShapes = new Map(),
  ): Partial<AdamssConfig> {
    const { initWeights: init, ...config } = table.fromPeftConfig(json) as Record<string, unknown>;
    if (init !== undefined && init !== 'orthogonal' && init !== false)
      throw new PeftError(
        'PEFT_CONFIG_UNSUPPORTED',
        `adamss: adapter_config.json sets init_weights to ${show(init)}, which is not supported.`,
        { hint: '"orthogonal", false and null are' },
      );
    return { ...config, initWeights: init === 'orthogonal', pieces: piecesOf(shapes) };
  },
};

/** The pieces of a layer; of a bare model's, paths in a file may have one word more or less. */
export const piecesAt = (
  pieces: AdamssConfig['pieces'],
  path: string,
): readonly Piece[] | undefined =>
  Object.entries(pieces ?? {}).find(
    ([known]) => known === path || known.endsWith(`.${path}`) || path.endsWith(`.${known}`),
  )?.[1];

function piecesOf(shapes: AdapterShapes): Record<string, Piece[]> {
  const found: Record<string, Piece[]> = {};
  for (const [key, [rows = 0, rank = 0]] of shapes) {
    const [, path, at] =
      /^(?:base_model\.model\.)?(.+)\.adamss_B\.(?:[^.]+\.)?(\d+)$/.exec(key) ?? [];
    if (path !== undefined) (found[path] ??= [])[Number(at)] = { rows, rank };
  }
  return found;
}

function refuseBadPieces(owner: string, field: string, value: unknown): void {
  const isPiece = (piece: Partial<Piece> | undefined): boolean =>
    Number.isInteger(piece?.rows) && Number.isInteger(piece?.rank);
  const lists = Object.values(value ?? {}) as unknown[];
  if (lists.every((list) => Array.isArray(list) && Array.from(list as Piece[]).every(isPiece)))
    return;
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `${owner}: ${field} must hold lists of { rows, rank } by layer, got ${show(value)}.`,
  );
}
