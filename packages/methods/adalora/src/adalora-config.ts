/** The options of AdaLoRA, their defaults and checks. */
import { check, PeftError } from '@peft/errors';

/** Options of AdaLoRA. */
export interface AdaloraConfig {
  /** Ranks of a layer at the start. Default 12. */
  readonly initialRank: number;
  /** Ranks of a layer in the end, on average. Default 8. */
  readonly targetRank: number;
  /** α: the update is scaled by α over the initial rank. Default 8. */
  readonly alpha: number;
  /** Share of the inputs that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** Optimiser steps of the whole run. */
  readonly totalSteps: number;
  /** Steps before the first rank goes. Default 0. */
  readonly initialSteps: number;
  /** Steps at the end in which the ranks stay. Default 0. */
  readonly finalSteps: number;
  /** Steps between two allocations. Default 1. */
  readonly interval: number;
  /** Memory of the sensitivity, in (0, 1). Default 0.85. */
  readonly beta1: number;
  /** Memory of its uncertainty, in (0, 1). Default 0.85. */
  readonly beta2: number;
  /** Weight of the term that keeps A and B orthogonal. Default 0.5. */
  readonly orthogonalWeight: number;
  /** Start at zero, so that nothing changes at first. `false`: N(0, 1), for tests. Default true. */
  readonly initWeights: boolean;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'lora_only';
  /**
   * Which directions a pruned adapter kept, by `<path>.lora_E`; its parameters have the kept ones
   * alone.
   */
  readonly rankPattern?: Readonly<Record<string, readonly boolean[]>>;
}

const KEYS: readonly (keyof AdaloraConfig)[] = [
  'initialRank',
  'targetRank',
  'alpha',
  'dropout',
  'totalSteps',
  'initialSteps',
  'finalSteps',
  'interval',
  'beta1',
  'beta2',
  'orthogonalWeight',
  'initWeights',
  'bias',
  'rankPattern',
];

/** @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY */
export function parseAdaloraConfig(input: Partial<AdaloraConfig>): AdaloraConfig {
  check.knownKeys('adalora', input, KEYS);
  const {
    initialRank = 12,
    targetRank = 8,
    alpha = 8,
    dropout = 0,
    totalSteps,
    initialSteps = 0,
    finalSteps = 0,
    interval = 1,
    beta1 = 0.85,
    beta2 = 0.85,
    orthogonalWeight = 0.5,
    initWeights = true,
    bias = 'none',
    rankPattern,
  } = input;
  check.positiveInteger('adalora', 'initialRank', initialRank);
  check.positiveInteger('adalora', 'targetRank', targetRank);
  check.positive('adalora', 'alpha', alpha);
  check.probability('adalora', 'dropout', dropout);
  check.positiveInteger('adalora', 'totalSteps', totalSteps);
  check.nonNegativeInteger('adalora', 'initialSteps', initialSteps);
  check.nonNegativeInteger('adalora', 'finalSteps', finalSteps);
  check.positiveInteger('adalora', 'interval', interval);
  for (const [name, beta] of [
    ['beta1', beta1],
    ['beta2', beta2],
  ] as const) {
    check.probability('adalora', name, beta);
    check.positive('adalora', name, beta);
  }
  check.positive('adalora', 'orthogonalWeight', orthogonalWeight);
  check.boolean('adalora', 'initWeights', initWeights);
  check.oneOf('adalora', 'bias', bias, ['none', 'all', 'lora_only']);
  if (initialSteps >= totalSteps - finalSteps) {
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `adalora: no step is left to allocate ranks in: ${initialSteps} initial and ` +
        `${finalSteps} final of ${totalSteps} steps.`,
      { hint: 'lower initialSteps or finalSteps, or train longer' },
    );
  }
  return Object.freeze({
    initialRank,
    targetRank,
    alpha,
    dropout,
    totalSteps,
    initialSteps,
    finalSteps,
    interval,
    beta1,
    beta2,
    orthogonalWeight,
    initWeights,
    bias,
    rankPattern,
  });
}
