/** Reward models: how good an answer is, learnt from pairs of them. */
import type { Table } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import {
  readContent,
  rewardData,
  rewardModel,
  rewardScore,
  scoredTexts,
  type RewardData,
} from '@peft/preference';
import { predict } from '@peft/trainer';
import { tellRows } from '../../data/tell-rows.js';
import { runSizes } from '../../fit/run-plan.js';
import type { SavedFields } from '../../model/base-model.js';
import type { Hyperparameters } from '../../settings/hyperparameter-types.js';
import { classifierConfig, classifierHead } from '../labels/classifier-head.js';
import type { DataTools, PredictorTask, TaskTools } from '../predictor-task.js';
import type { TaskRecord } from '../task-record.js';
import { pairScores, preferenceMetric } from './preference-metrics.js';
import { answerOptions, preferencesOf, warnOfTurns } from './preference-table.js';

export type RewardRecord = Extract<TaskRecord, { name: 'reward' }>;

const NAME = 'reward';

/**
 * @param record columns by role: `chosen` and `rejected`, with a `prompt` or without, and a `margin`
 *   where there is one.
 */
export function rewardTask(record: RewardRecord): PredictorTask {
  const { columns } = record;
  const [prompt, answer] = [columns['prompt'], columns['chosen']!];
  const taskOf = (settings: Hyperparameters) =>
    rewardModel({ centerWeight: settings['optim.center_rewards'] });
  const examples = async (table: Table, tools: DataTools): Promise<RewardData> => {
    const { truncation: _, ...options } = answerOptions(tools, table);
    const rows = preferencesOf(table, columns);
    warnOfTurns(rows, columns, tools);
    const data = await rewardData(rows, {
      ...options,
      margins: marginsOf(table, columns['margin']),
    });
    for (const warning of data.warnings) tools.warn?.(warning);
    tellRows(tools, table, { skipped: data.skipped, cut: data.cut });
    return data;
  };
  return Object.freeze<PredictorTask>({
    name: NAME,
    record,
    columns: Object.values(columns),
    inputs: [...(prompt === undefined ? [] : [prompt]), answer],
    head: (settings) => classifierHead(record.head, 1, settings),
    forBase: (base, settings) =>
      rewardTask({ ...record, head: classifierConfig(base, 1, settings) }),
    savedFiles: (): SavedFields =>
      record.head === 'sequence-classification'
        ? { 'config.json': { id2label: { 0: 'LABEL_0' }, label2id: { LABEL_0: 0 } } }
        : {},
    loss: taskOf,
    examples,
    metric: preferenceMetric,
    checkRows(table) {
      preferencesOf(table, columns);
      marginsOf(table, columns['margin']);
    },
    async scorer(table, _, tools) {
      const data = await examples(table, tools);
      return async (signal) => {
        const { predictions, loss } = await predict(tools.model, taskOf(tools.settings), data, {
          batchSize: runSizes(tools.settings).evaluationBatchSize,
          withLoss: true,
          signal,
        });
        return {
          metrics: { loss: loss!, ...pairScores(predictions) },
          examples: predictions.length,
        };
      };
    },
    predict: (table, tools) => scoresOf(table, tools, { prompt, answer }),
    rowsOfTexts() {
      throw new PeftError(
        'PEFT_DATA_INVALID',
        'predictor: a reward model scores answers to prompts, single texts are neither.',
        {
          hint: `give a table with the columns ${[prompt, answer].flatMap((c) => c ?? []).join(', ')}`,
        },
      );
    },
    groups:
      prompt === undefined
        ? undefined
        : (table) => table.values(prompt).map((cell) => JSON.stringify(cell)),
  });
}

/** A score for each row's answer. Without a prompt column the answer holds its prompt. */
async function scoresOf(
  table: Table,
  tools: TaskTools,
  { prompt, answer }: { readonly prompt: string | undefined; readonly answer: string },
): Promise<readonly number[]> {
  const place = (row: number): string => `row ${table.origin(row)} of ${table.source}`;
  const prompts = prompt === undefined ? undefined : table.values(prompt);
  const rows = table.values(answer).map((cell, row) => {
    const content = readContent(cell, `the answer of ${place(row)}`);
    const asked = prompts
      ? readContent(prompts[row], `the prompt of ${place(row)}`)
      : content.slice(0, 0);
    return { prompt: asked, answer: content };
  });
  const { truncation: _, ...options } = answerOptions(tools, table);
  const data = await scoredTexts(rows, options);
  tellRows(tools, table, { cut: data.cut });
  const { predictions } = await predict(tools.model, rewardScore, data, {
    batchSize: runSizes(tools.settings).evaluationBatchSize,
    signal: tools.signal,
  });
  return predictions;
}

/** @throws PEFT_CONFIG_INVALID for a margin that is no number */
function marginsOf(table: Table, column: string | undefined): Float64Array | undefined {
  if (column === undefined || !table.has(column)) return undefined;
  return Float64Array.from(table.column(column), (cell, row) => {
    const margin = cell === null || cell === '' ? Number.NaN : Number(cell);
    check.finite('predictor', `${column} of row ${table.origin(row)}`, margin);
    return margin;
  });
}
