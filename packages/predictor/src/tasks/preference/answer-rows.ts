/** Rows of one kind of preference: pairs, or single answers with labels. */
import type { Table, TableWarning, TokenData } from '@peft/data';
import {
  memoryReferenceCache,
  PAIR_LOSSES,
  preference,
  preferenceData,
  unpairedData,
  unpairedPreference,
  UNPAIRED_LOSSES,
  type PairOutcome,
  type ReferenceCache,
  type UnpairedData,
} from '@peft/preference';
import { PeftError } from '@peft/errors';
import type { Task } from '@peft/trainer';
import type { Hyperparameters } from '../../settings/hyperparameter-types.js';
import { tellRows } from '../../data/tell-rows.js';
import type { ColumnRoles } from '../column-roles.js';
import type { DataTools } from '../predictor-task.js';
import { pairScores, unpairedScores } from './preference-metrics.js';
import { answerOptions, preferencesOf, unpairedOf, warnOfTurns } from './preference-table.js';

/** How rows are read, learnt from and scored. */
export interface AnswerRows {
  /** The loss reads what the model makes of the answers without the adapter that trains. */
  readonly hasReference: boolean;
  task(settings: Hyperparameters): Task;
  /** @throws PEFT_DATA_INVALID, PEFT_PREFERENCE_… */
  check(table: Table): void;
  examples(table: Table, tools: DataTools): Promise<TokenData>;
  score(predictions: readonly unknown[], data: TokenData): Record<string, number>;
}

/**
 * @param loss by its name.
 * @param cache one for all data of a predictor: a key tells what a value is of.
 * @throws PEFT_CONFIG_INVALID for a loss that these columns cannot feed
 */
export function answerRows(
  columns: ColumnRoles,
  loss: string,
  cache: ReferenceCache = memoryReferenceCache(),
): AnswerRows {
  if (UNPAIRED_LOSSES.some(({ name }) => name === loss)) return singleAnswers(columns, loss, cache);
  if (columns['chosen'] !== undefined) return pairs(columns, loss, cache);
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `predictor: the loss ${loss} compares two answers, and rows of prompt, completion and label ` +
      'have one.',
    { hint: 'give the columns chosen and rejected, or set optim.preference_loss=kto' },
  );
}

function pairs(columns: ColumnRoles, loss: string, cache: ReferenceCache): AnswerRows {
  return {
    hasReference: PAIR_LOSSES.some(({ name, hasReference }) => name === loss && hasReference),
    task: (settings) =>
      preference({
        loss,
        beta: settings['optim.preference_beta'],
        labelSmoothing: settings['optim.label_smoothing'],
        margin: settings['optim.preference_margin'],
        likelihoodWeight: settings['optim.likelihood_weight'] ?? undefined,
        cache,
      }),
    check: (table) => void preferencesOf(table, columns),
    async examples(table, tools) {
      const rows = preferencesOf(table, columns);
      warnOfTurns(rows, columns, tools);
      const data = await preferenceData(rows, answerOptions(tools, table));
      return told(data, table, tools);
    },
    score: (predictions) =>
      pairScores(
        (predictions as PairOutcome[]).map(({ chosenReward, rejectedReward }) => [
          chosenReward,
          rejectedReward,
        ]),
      ),
  };
}

function singleAnswers(columns: ColumnRoles, loss: string, cache: ReferenceCache): AnswerRows {
  return {
    hasReference: true,
    task(settings) {
      for (const key of ['optim.label_smoothing', 'optim.likelihood_weight'] as const)
        if (settings[key])
          throw new PeftError(
            'PEFT_CONFIG_INVALID',
            `predictor: the loss ${loss} does not read ${key} (${settings[key]}).`,
            { hint: 'leave it out; losses of pairs read it' },
          );
      return unpairedPreference({
        loss,
        beta: settings['optim.preference_beta'],
        desirableWeight: settings['optim.desirable_weight'],
        undesirableWeight: settings['optim.undesirable_weight'],
        cache,
      });
    },
    check: (table) => void unpairedOf(table, columns),
    async examples(table, tools) {
      const rows = unpairedOf(table, columns);
      warnOfTurns(rows, columns, tools);
      const data = await unpairedData(rows, answerOptions(tools, table));
      // a pair of the table is two rows of the data
      const rowsPerSource = columns['chosen'] === undefined ? 1 : 2;
      return told(data, table, tools, rowsPerSource);
    },
    score: (predictions, data) =>
      unpairedScores(predictions as number[], (data as UnpairedData).desirable),
  };
}

function told<D extends TokenData & { readonly warnings: readonly TableWarning[] }>(
  data: D,
  table: Table,
  tools: DataTools,
  rowsPerSource = 1,
): D {
  for (const warning of data.warnings) tools.warn?.(warning);
  const sources = (rows: readonly number[]): number[] => [
    ...new Set(rows.map((row) => Math.floor(row / rowsPerSource))),
  ];
  tellRows(tools, table, { skipped: sources(data.skipped), cut: sources(data.cut) });
  return data;
}
