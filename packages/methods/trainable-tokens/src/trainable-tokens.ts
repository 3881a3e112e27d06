/**
 * Trainable tokens: some rows of an embedding train, the others stay.
 *
 *   y[n] = Δ[k] where ids[n] is the k-th of the rows, E[ids[n]] elsewhere      Δ `[rows, D]`, starting as a copy of E's rows
 *
 * For tokens that were added to a vocabulary. By default all that read the table follow; in T5 one
 * stack's rows train alone when its `embed_tokens` is the target. An output layer that is tied to
 * the embedding uses the trained rows, too; the rows of one with a weight of its own train when it
 * is among the targets.
 */
import {
  definePeftMethod,
  normal,
  trainableOutputRows,
  trainableRows,
  wordTables,
  type AttachContext,
  type TargetSelection,
} from '@peft/core';
import { check, PeftError, show } from '@peft/errors';

/** Options of trainable tokens. */
export interface TrainableTokensConfig {
  /** Ids of the rows, each once. */
  readonly tokenIndices: readonly number[];
  /** Start as a copy of the table's rows. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
}

const DELTA = 'trainable_tokens_delta';

declare module '@peft/core' {
  interface PeftConfigs {
    'trainable-tokens': TrainableTokensConfig;
  }
}

/**
 * The method: `trainableTokens({ tokenIndices: [32000, 32001] })` trains these rows of the word
 * embedding. Merging is exact.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const trainableTokens = definePeftMethod({
  name: 'trainable-tokens',
  exampleOptions: { tokenIndices: [1, 2] },
  formula: 'rows of an embedding, learned whole',
  peftType: 'TRAINABLE_TOKENS',
  peftCommonKeys: ['target_modules'],

  parseConfig(input): TrainableTokensConfig {
    check.knownKeys('trainable-tokens', input, ['tokenIndices', 'initWeights']);
    const { tokenIndices, initWeights = true } = input;
    check.boolean('trainable-tokens', 'initWeights', initWeights);
    if (
      !Array.isArray(tokenIndices) ||
      tokenIndices.length === 0 ||
      !tokenIndices.every((id) => Number.isInteger(id) && id >= 0)
    ) {
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `trainable-tokens: tokenIndices must be a list of token ids, got ${show(tokenIndices)}.`,
      );
    }
    return { tokenIndices, initWeights };
  },

  defaultTargets: (description): TargetSelection => ({ targets: wordTables(description) }),
  withRows: ({ tokenIndices, initWeights }, rows) => ({
    initWeights,
    tokenIndices: [...new Set([...tokenIndices, ...Object.values(rows).flat()])],
  }),
  attach: {
    embedding: (site, config, context) =>
      trainableRows(site, config.tokenIndices, withStart(config, context), DELTA),
    linear: (site, config, context) =>
      trainableOutputRows(site, config.tokenIndices, withStart(config, context), DELTA),
  },
  toPeftConfig: ({ tokenIndices, initWeights }) => ({
    init_weights: initWeights,
    token_indices: tokenIndices,
  }),
  fromPeftConfig: (json) => ({
    tokenIndices: json['token_indices'] as number[],
    initWeights: (json['init_weights'] ?? true) as boolean,
  }),
});

/** N(0, 1) in place of the table's rows. */
const withStart = (
  { initWeights }: TrainableTokensConfig,
  context: AttachContext,
): AttachContext =>
  initWeights
    ? context
    : {
        ...context,
        param: (name, shape, _init, options) => context.param(name, shape, normal(1), options),
      };
