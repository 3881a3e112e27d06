/**
 * The options of bottleneck adapters, their defaults and checks. Names are adapter-hub's in camel
 * case.
 */
import { check, PeftError, show } from '@peft/errors';
import { activationNamed } from '@peft/ops';

/** Options of bottleneck adapters. */
export interface BottleneckConfig {
  /** Stand after the attention. Default false. */
  readonly mhAdapter: boolean;
  /** Stand after the feed-forward network. Default true. */
  readonly outputAdapter: boolean;
  /** Stand after the cross attention of a decoder. Default false. */
  readonly crossAdapter: boolean;
  /**
   * The bottleneck is max(1, ⌊D/factor⌋) wide; by block number, `default` for the rest, or one for
   * all. Default 16.
   */
  readonly reductionFactor: number | Readonly<Record<string, number>>;
  /** Activation in the bottleneck: `relu`, `gelu`, `swish` … Default `relu`. */
  readonly nonLinearity: string;
  /** A sequential adapter reads norm(output + residual) rather than the output. Default true. */
  readonly originalLnBefore: boolean;
  /** The branch is closed by the model's own residual and norm behind the adapter. Default true. */
  readonly originalLnAfter: boolean;
  /** A layer norm of its own in front. Default false. */
  readonly lnBefore: boolean;
  /** A layer norm of its own behind. Default false. */
  readonly lnAfter: boolean;
  /**
   * How it starts: `bert` N(0, 0.02²); `mam_adapter` a zero up-projection, so that nothing changes
   * at first; `houlsby` N(0, 0.01²) cut at 2σ. Default `bert`.
   */
  readonly initWeights: 'bert' | 'mam_adapter' | 'houlsby';
  /** Read what the branch read and add to what it made. Default false. */
  readonly isParallel: boolean;
  /**
   * Factor of the output: a number, one that is learned, or one per channel that is learned.
   * Default 1.
   */
  readonly scaling: number | 'learned' | 'channel';
  /** A gate per sequence (UniPELT). Default false. */
  readonly useGating: boolean;
  /**
   * The adapter's own residual is the branch's output (`true`), norm(output + residual) (`false`),
   * or output + residual (`post_add`). Default true.
   */
  readonly residualBeforeLn: boolean | 'post_add';
  /** The adapter's own residual is added in front of `lnAfter`'s norm. Default false. */
  readonly adapterResidualBeforeLn: boolean;
  /** An invertible adapter behind the embeddings (MAD-X). Default null. */
  readonly invAdapter: 'nice' | null;
  /** Its half-width is divided by this. Default null; 2 with an invertible adapter. */
  readonly invAdapterReductionFactor: number | null;
  /**
   * Numbers of blocks to leave out; those of a decoder count on from the encoder's. Default none.
   */
  readonly leaveOut: readonly number[];
  /** Share of the outputs that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** Share of the sequences whose adapter training skips, in [0, 1). Default 0. */
  readonly stochasticDepth: number;
  /** Compacter: projections are sums of `phmDim` Kronecker products. Default false. */
  readonly phmLayer: boolean;
  /** Default 4. */
  readonly phmDim: number;
  /** The second factors are products of rank `phmRank`. Default true. */
  readonly factorizedPhmW: boolean;
  /** The second factors are shared by all blocks. Default false. */
  readonly sharedWPhm: boolean;
  /** The first factors are shared by all blocks. Default true. */
  readonly sharedPhmRule: boolean;
  /** The first factors are products of rank 1. Default false. */
  readonly factorizedPhmRule: boolean;
  /** How the first factors start: N(0, range²) or U(−1, 1). Default `normal`. */
  readonly phmCInit: 'normal' | 'uniform';
  /** Default 1e-4. */
  readonly phmInitRange: number;
  /** The first factors train. Default true. */
  readonly learnPhm: boolean;
  /**
   * Kept for files: the original starts the second factors by Glorot's normal rule whatever it
   * says. Default `glorot-uniform`.
   */
  readonly hypercomplexNonlinearity: 'glorot-uniform' | 'glorot-normal' | 'normal' | 'phm';
  /** Default 1. */
  readonly phmRank: number;
  /** Default true. */
  readonly phmBias: boolean;
}

/** adapter-hub's `seq_bn`. */
export const BOTTLENECK_DEFAULTS: BottleneckConfig = Object.freeze({
  mhAdapter: false,
  outputAdapter: true,
  crossAdapter: false,
  reductionFactor: 16,
  nonLinearity: 'relu',
  originalLnBefore: true,
  originalLnAfter: true,
  lnBefore: false,
  lnAfter: false,
  initWeights: 'bert',
  isParallel: false,
  scaling: 1,
  useGating: false,
  residualBeforeLn: true,
  adapterResidualBeforeLn: false,
  invAdapter: null,
  invAdapterReductionFactor: null,
  leaveOut: Object.freeze([]),
  dropout: 0,
  stochasticDepth: 0,
  phmLayer: false,
  phmDim: 4,
  factorizedPhmW: true,
  sharedWPhm: false,
  sharedPhmRule: true,
  factorizedPhmRule: false,
  phmCInit: 'normal',
  phmInitRange: 0.0001,
  learnPhm: true,
  hypercomplexNonlinearity: 'glorot-uniform',
  phmRank: 1,
  phmBias: true,
});

const OWNER = 'adapter';
const FLAGS = [
  'mhAdapter',
  'outputAdapter',
  'crossAdapter',
  'originalLnBefore',
  'originalLnAfter',
  'lnBefore',
  'lnAfter',
  'isParallel',
  'useGating',
  'adapterResidualBeforeLn',
  'phmLayer',
  'factorizedPhmW',
  'sharedWPhm',
  'sharedPhmRule',
  'factorizedPhmRule',
  'learnPhm',
  'phmBias',
] as const;

/** Fills defaults. @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY, PEFT_ACTIVATION_UNKNOWN */
export function parseBottleneckConfig(input: Partial<BottleneckConfig>): BottleneckConfig {
  check.knownKeys(OWNER, input, Object.keys(BOTTLENECK_DEFAULTS));
  const config = { ...BOTTLENECK_DEFAULTS, ...input };
  for (const flag of FLAGS) check.boolean(OWNER, flag, config[flag]);
  check.oneOf(OWNER, 'initWeights', config.initWeights, ['bert', 'mam_adapter', 'houlsby']);
  check.oneOf(OWNER, 'phmCInit', config.phmCInit, ['normal', 'uniform']);
  check.oneOf(OWNER, 'hypercomplexNonlinearity', config.hypercomplexNonlinearity, [
    'glorot-uniform',
    'glorot-normal',
    'normal',
    'phm',
  ]);
  check.probability(OWNER, 'dropout', config.dropout);
  check.probability(OWNER, 'stochasticDepth', config.stochasticDepth);
  check.positiveInteger(OWNER, 'phmDim', config.phmDim);
  check.positiveInteger(OWNER, 'phmRank', config.phmRank);
  check.positive(OWNER, 'phmInitRange', config.phmInitRange);
  activationNamed(config.nonLinearity);
  checkReduction(config.reductionFactor);
  if (typeof config.scaling === 'number') check.finite(OWNER, 'scaling', config.scaling);
  else check.oneOf(OWNER, 'scaling', config.scaling, ['learned', 'channel']);
  if (config.residualBeforeLn !== 'post_add')
    check.boolean(OWNER, 'residualBeforeLn', config.residualBeforeLn);
  if (
    !Array.isArray(config.leaveOut) ||
    !config.leaveOut.every((layer) => Number.isInteger(layer) && layer >= 0)
  )
    throw invalid('leaveOut', 'a list of block numbers', config.leaveOut);
  if (config.invAdapter !== null) check.oneOf(OWNER, 'invAdapter', config.invAdapter, ['nice']);
  if (config.invAdapterReductionFactor !== null)
    check.positive(OWNER, 'invAdapterReductionFactor', config.invAdapterReductionFactor);
  checkPhm(config);
  return Object.freeze({
    ...config,
    invAdapterReductionFactor:
      config.invAdapterReductionFactor ?? (config.invAdapter === null ? null : 2),
  });
}

function checkReduction(factor: unknown): void {
  if (typeof factor === 'number') return check.positive(OWNER, 'reductionFactor', factor);
  if (typeof factor !== 'object' || factor === null)
    throw invalid('reductionFactor', 'a number > 0, or one for each block number', factor);
  for (const [block, each] of Object.entries(factor)) {
    if (block !== 'default' && !/^\d+$/.test(block))
      throw invalid('reductionFactor', 'by block number and `default`', factor);
    check.positive(OWNER, `reductionFactor[${block}]`, each);
  }
}

function checkPhm({ phmLayer, initWeights, sharedWPhm, reductionFactor }: BottleneckConfig): void {
  if (!phmLayer) return;
  if (initWeights !== 'bert')
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${OWNER}: initWeights ${show(initWeights)} does not go with phmLayer.`,
      { hint: "leave initWeights at 'bert': Kronecker factors have a start of their own" },
    );
  if (sharedWPhm && typeof reductionFactor !== 'number')
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${OWNER}: sharedWPhm needs one reductionFactor for all blocks, got ${show(reductionFactor)}.`,
    );
}

const invalid = (field: string, must: string, value: unknown): PeftError =>
  new PeftError('PEFT_CONFIG_INVALID', `${OWNER}: ${field} must be ${must}, got ${show(value)}.`);

/**
 * Width of the bottleneck of a block.
 * @param layer its number, a decoder's counted on from the encoder's.
 * @throws PEFT_CONFIG_INVALID
 */
export function bottleneckSize(
  width: number,
  layer: number,
  { reductionFactor }: BottleneckConfig,
): number {
  const factor =
    typeof reductionFactor === 'number'
      ? reductionFactor
      : (reductionFactor[layer] ?? reductionFactor['default']);
  if (factor === undefined)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${OWNER}: reductionFactor says nothing about block ${layer}, got ${show(reductionFactor)}.`,
      { hint: "add a 'default'" },
    );
  return Math.max(1, Math.floor(width / factor));
}
