/** Starts of LoRA that come from training batches: their names, options and checks. */
import { check, PeftError, show } from '@peft/errors';

/** Values of `init` that ask for training batches. */
export const DATA_STARTS = Object.freeze(['eva', 'corda', 'lora_ga'] as const);
/** One of them. */
export type DataStartName = (typeof DATA_STARTS)[number];

/** Options of starts that come from data; each start takes its own. */
export interface DataStartOptions {
  /**
   * Micro-batches to look at. Default 32. EVA goes through them again until its directions have
   * settled.
   */
  readonly batches?: number;
  /** EVA: a layer may get up to ρ·r directions, ρ ≥ 1; 1 leaves all ranks as they are. Default 2. */
  readonly rho?: number;
  /** EVA: directions have settled when their cosine from pass to pass reaches it. Default 0.99. */
  readonly tau?: number;
  /** EVA: directions divided by the root of their singular values. Default false. */
  readonly whiten?: boolean;
  /** EVA: α follows a layer's rank, so that its strength α/r stays. Default true. */
  readonly adjustScaling?: boolean;
  /** EVA: tokens without a label do not count, where tokens have labels. Default true. */
  readonly labelledTokens?: boolean;
  /**
   * CorDA: `ipm` learns the task's directions, `kpm` those that the batches use least, which keeps
   * what the batches are about. Default `ipm`.
   */
  readonly mode?: 'ipm' | 'kpm';
  /** LoRA-GA: which of the gradient's 2r directions A and B get. Default `ArB2r`. */
  readonly direction?: 'ArBr' | 'A2rBr' | 'ArB2r' | 'random';
  /** LoRA-GA: how the start is scaled. Default `stable`. */
  readonly scale?: 'stable' | 'weight_svd' | 'gd_scale' | 'unit';
  /** LoRA-GA: γ of `stable`. Default 16. */
  readonly stableGamma?: number;
}

/** All of them, filled in. */
export type DataStart = Required<DataStartOptions>;

const DEFAULTS: DataStart = Object.freeze({
  batches: 32,
  rho: 2,
  tau: 0.99,
  whiten: false,
  adjustScaling: true,
  labelledTokens: true,
  mode: 'ipm',
  direction: 'ArB2r',
  scale: 'stable',
  stableGamma: 16,
});

const OWN: Readonly<Record<DataStartName, readonly (keyof DataStart)[]>> = {
  eva: ['batches', 'rho', 'tau', 'whiten', 'adjustScaling', 'labelledTokens'],
  corda: ['batches', 'mode'],
  lora_ga: ['batches', 'direction', 'scale', 'stableGamma'],
};

/** Whether a value of `init` asks for batches. */
export const isDataStart = (init: unknown): init is DataStartName =>
  (DATA_STARTS as readonly unknown[]).includes(init);

/** Fills defaults. @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY for another start's option */
export function parseDataStart(init: DataStartName, given: DataStartOptions = {}): DataStart {
  const owner = `lora: dataStart of init '${init}'`;
  check.knownKeys(owner, given, OWN[init]);
  const start = { ...DEFAULTS, ...given };
  check.positiveInteger(owner, 'batches', start.batches);
  check.positive(owner, 'rho', start.rho);
  check.positive(owner, 'stableGamma', start.stableGamma);
  for (const name of ['whiten', 'adjustScaling', 'labelledTokens'] as const)
    check.boolean(owner, name, start[name]);
  check.oneOf(owner, 'mode', start.mode, ['ipm', 'kpm']);
  check.oneOf(owner, 'direction', start.direction, ['ArBr', 'A2rBr', 'ArB2r', 'random']);
  check.oneOf(owner, 'scale', start.scale, ['stable', 'weight_svd', 'gd_scale', 'unit']);
  if (start.rho < 1)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: rho must be at least 1, got ${start.rho}.`,
    );
  if (typeof start.tau !== 'number' || !(start.tau >= 0 && start.tau <= 1))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: tau must be a number in [0, 1], got ${show(start.tau)}.`,
    );
  return Object.freeze(start);
}

/** What adapter_config.json says of a start, in PEFT's words. */
export function dataStartToPeft(init: DataStartName, start: DataStart): Record<string, unknown> {
  if (init === 'eva')
    return {
      eva_config: {
        rho: start.rho,
        tau: start.tau,
        use_label_mask: start.labelledTokens,
        label_mask_value: -100,
        whiten: start.whiten,
        adjust_scaling_factors: start.adjustScaling,
      },
    };
  return {}; // the others' files hold plain LoRA
}
