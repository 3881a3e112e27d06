/** Options of learning from pairs of answers. */
import { check, PeftError } from '@peft/errors';
import { lossNamed } from '../losses/loss-named.js';
import { PAIR_LOSSES } from '../losses/pair-losses.js';
import type { PairLoss, PairLossOptions } from '../losses/pair-loss.js';
import type { ReferenceCache } from '../log-probabilities/reference-cache.js';

/** What pairs are compared by; see {@link PairLoss}. */
export interface PreferenceOptions {
  /** One of {@link PAIR_LOSSES} by its name, or a loss of your own. Default `sigmoid`: DPO. */
  readonly loss?: string | PairLoss | undefined;
  /** β. Default 0.1. */
  readonly beta?: number | undefined;
  /** ε, in [0, 1), of losses that read it. Default 0. */
  readonly labelSmoothing?: number | undefined;
  /** γ of SimPO. Default 0.5. */
  readonly margin?: number | undefined;
  /**
   * Weight of the mean −ln π of the chosen answers' tokens, RPO's added term. Default: the loss's own,
   * 1 for CPO and ORPO, else 0.
   */
  readonly likelihoodWeight?: number | undefined;
  /** Where log-probabilities of the reference are kept. Default: memory. */
  readonly cache?: ReferenceCache | undefined;
}

/** Options with their defaults. */
export interface ResolvedPreference extends PairLossOptions {
  readonly loss: PairLoss;
  readonly likelihoodWeight: number;
}

const DEFAULTS: PairLossOptions = Object.freeze({ beta: 0.1, labelSmoothing: 0, margin: 0.5 });
const KEYS: readonly (keyof PreferenceOptions)[] = [
  'loss',
  'beta',
  'labelSmoothing',
  'margin',
  'likelihoodWeight',
  'cache',
];

/** @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY */
export function resolvePreference(owner: string, options: PreferenceOptions): ResolvedPreference {
  check.knownKeys(owner, options, KEYS);
  const loss = lossNamed(owner, options.loss ?? 'sigmoid', PAIR_LOSSES);
  const given = {
    beta: options.beta ?? DEFAULTS.beta,
    labelSmoothing: options.labelSmoothing ?? DEFAULTS.labelSmoothing,
    margin: options.margin ?? DEFAULTS.margin,
  };
  const likelihoodWeight = options.likelihoodWeight ?? loss.likelihood?.weight ?? 0;
  check.positive(owner, 'beta', given.beta);
  check.probability(owner, 'labelSmoothing', given.labelSmoothing);
  check.finite(owner, 'margin', given.margin);
  if (likelihoodWeight !== 0) check.positive(owner, 'likelihoodWeight', likelihoodWeight);
  for (const key of ['labelSmoothing', 'margin'] as const)
    if (given[key] !== DEFAULTS[key] && !loss.reads?.includes(key))
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `${owner}: the loss ${loss.name} does not read ${key} (${given[key]}).`,
        { hint: `it is read by ${readersOf(key).join(', ')}` },
      );
  loss.check?.(owner, given);
  return { loss, ...given, likelihoodWeight };
}

const readersOf = (key: 'labelSmoothing' | 'margin'): string[] =>
  PAIR_LOSSES.filter(({ reads }) => reads?.includes(key)).map(({ name }) => name);
