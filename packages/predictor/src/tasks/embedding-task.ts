/** Embeddings of texts, learnt by contrast from texts that belong together. */
import type { ModelBatch } from '@peft/core';
import { tableFromRows, textGroupData, type Table, type TokenData } from '@peft/data';
import { didYouMean, PeftError, show } from '@peft/errors';
import { embeddings, predict, retrievalScore, type Task } from '@peft/trainer';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import { runSizes } from '../fit/run-plan.js';
import { textsOf, type ColumnRoles } from './column-roles.js';
import type { DataTools, PredictorTask, TaskTools, WatchedMetric } from './predictor-task.js';
import { tellRows } from '../data/tell-rows.js';
import { textLength } from './text-length.js';

const METRICS: readonly WatchedMetric[] = ['mean_reciprocal_rank', 'top1'].map((name) =>
  Object.freeze({ name, greaterIsBetter: true, optimum: 1 }),
);

/** @param columns by role: `anchor`, `positive`, and `negative` where there is one. */
export function embeddingTask(columns: ColumnRoles): PredictorTask {
  const all = ['anchor', 'positive', 'negative'].flatMap((role) => columns[role] ?? []);
  const [anchor] = all as [string];
  const taskOf = (settings: Hyperparameters): Task<ModelBatch, readonly Float32Array[]> =>
    embeddings({
      pooling: settings['model.hf_text.pooling_mode'] === 'mean' ? 'mean' : 'first',
    });
  const groups = async (
    table: Table,
    of: readonly string[],
    tools: DataTools,
  ): Promise<TokenData> => {
    const texts = of.map((column) => textsOf(table, column));
    const data = await textGroupData(
      Array.from({ length: table.rows }, (_, row) => texts.map((column) => column[row]!)),
      tools.base.tokenizer,
      { maxLength: textLength(tools), signal: tools.signal },
    );
    tellRows(tools, table, data);
    return data;
  };
  const embed = (
    data: TokenData,
    { model, settings }: TaskTools,
    withLoss: boolean,
    signal?: AbortSignal,
  ) =>
    predict(model, taskOf(settings), data, {
      batchSize: runSizes(settings).evaluationBatchSize,
      withLoss,
      signal,
    });

  return Object.freeze<PredictorTask>({
    name: 'embeddings',
    record: { name: 'embeddings', columns },
    columns: all,
    inputs: [anchor],
    head: () => ({ kind: 'none' }),
    loss: taskOf,
    examples: (table, tools) => groups(table, all, tools),
    metric(given = METRICS[0]!.name) {
      if (typeof given !== 'string') return given;
      const found = METRICS.find(({ name }) => name === given.toLowerCase().replaceAll('-', '_'));
      if (found) return found;
      const names = METRICS.map(({ name }) => name);
      throw new PeftError(
        'PEFT_METRIC_UNKNOWN',
        `predictor: embeddings have no metric ${show(given)}.`,
        { hint: `${didYouMean(given, names)} Metrics: ${names.join(', ')}.`.trim() },
      );
    },
    checkRows: (table) => void all.map((column) => textsOf(table, column)),
    async scorer(table, _metrics, tools) {
      const data = await groups(table, all, tools);
      return async (signal) => {
        const { predictions, loss } = await embed(data, tools, true, signal);
        return {
          metrics: { loss: loss!, ...retrievalScore(predictions) },
          examples: predictions.length,
        };
      };
    },
    predict: async (table, tools) =>
      (
        await embed(await groups(table, [anchor], tools), tools, false, tools.signal)
      ).predictions.map(([embedding]) => embedding!),
    rowsOfTexts: (texts) =>
      tableFromRows(
        texts.map((text) => ({ [anchor]: text })),
        'texts',
      ),
  });
}
