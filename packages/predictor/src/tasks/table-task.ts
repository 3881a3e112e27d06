/** Classification and regression of whole rows: texts in some columns, a label in another. */
import { defaultMetric, getMetric, type Cell, type Metric, type Table } from '@peft/data';
import { predict, tableData } from '@peft/trainer';
import { textRows } from '../data/text-rows.js';
import { runSizes } from '../fit/run-plan.js';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import { checkMetric, labelsOf, type Problem, type RowPrediction } from '../settings/problem.js';
import { weightsOf } from '../data/sample-weights.js';
import { EMBEDDING } from './pooled-embedding.js';
import type { PredictorTask, TaskTools } from './predictor-task.js';

/**
 * @param texts columns that are learnt from, in the table's order.
 * @param metrics that may be named.
 * @param weight column of how much each training row counts.
 */
export function tableTask(
  label: string,
  texts: readonly string[],
  problem: Problem,
  metrics: readonly Metric[],
  weight?: string,
): PredictorTask {
  const loss = (settings: Hyperparameters) =>
    problem.task({
      labelSmoothing: settings['optim.label_smoothing'],
      focalGamma: settings['optim.focal_gamma'],
    });
  const rows = textRows(texts);
  const labels = (table: Table): readonly Cell[] =>
    labelsOf(table.column(label), label, table.source);
  const outputs = (table: Table, tools: TaskTools): Promise<readonly RowPrediction[]> =>
    rows.run(table, problem.task(), tools);
  const isRegression = problem.type === 'regression';

  return Object.freeze<PredictorTask>({
    name: isRegression ? 'regression' : 'classification',
    record: {
      name: isRegression ? 'regression' : 'classification',
      label,
      texts,
      problem: problem.record,
      weight,
    },
    columns: [...texts, label, ...(weight === undefined ? [] : [weight])],
    inputs: texts,
    problem,
    classes: isRegression ? undefined : problem.classes,
    head: (settings) => ({
      kind: 'pooled-linear',
      outputs: problem.outputs,
      pooling: settings['model.hf_text.pooling_mode'] === 'mean' ? 'mean' : 'first',
    }),
    loss,
    examples: async (table, tools) =>
      tableData(await rows.tokens(table, tools), problem.encode(labels(table)), {
        weights: weightsOf(table, weight),
      }),
    metric: (given = defaultMetric(problem.type)) =>
      typeof given === 'string' ? getMetric(given, metrics) : given,
    checkRows(table, watched) {
      problem.encode(labels(table));
      for (const metric of watched) checkMetric(metric as Metric, problem, labels(table));
      for (const column of texts) table.column(column);
    },
    async scorer(table, watched, tools) {
      const data = tableData(await rows.tokens(table, tools), problem.encode(labels(table)));
      const score = problem.scorer(watched as readonly Metric[], labels(table));
      return async (signal) => {
        const { predictions, loss: mean } = await predict(tools.model, loss(tools.settings), data, {
          batchSize: runSizes(tools.settings).evaluationBatchSize,
          withLoss: true,
          signal,
        });
        return {
          metrics: { loss: mean!, ...score(predictions) },
          examples: predictions.length,
          predictions: predictions.map((row) => problem.decode(row)),
        };
      };
    },
    predict: async (table, tools) =>
      (await outputs(table, tools)).map((row) => problem.decode(row)),
    probabilities: async (table, tools) => (await outputs(table, tools)) as Float64Array[],
    embed: (table, tools) => rows.run(table, EMBEDDING, tools),
    rowsOfTexts: (given) => rows.rowsOfTexts(given),
    strata: (table) => (isRegression ? undefined : problem.encode(labels(table))),
  });
}
