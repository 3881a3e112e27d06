/** Classification and regression of whole rows: texts in some columns, a label in another. */
import {
  defaultMetric,
  getMetric,
  tableFromRows,
  type Cell,
  type Metric,
  type Table,
} from '@peft/data';
import { PeftError } from '@peft/errors';
import { predict, tableData, type Task } from '@peft/trainer';
import { checkMetric, labelsOf, type Problem, type RowPrediction } from '../settings/problem.js';
import { runSizes } from '../fit/run-plan.js';
import { textSettings, tokenizeRows } from '../data/text-columns.js';
import { EMBEDDING } from './pooled-embedding.js';
import type { DataTools, PredictorTask, TaskTools } from './predictor-task.js';
import { tellRows } from '../data/tell-rows.js';

/** The task of whole rows, which also has probabilities and embeddings. */
export interface TableTask extends PredictorTask {
  readonly problem: Problem;
  readonly label: string;
  /** Probabilities of each row, or its number. */
  outputs(table: Table, tools: TaskTools): Promise<readonly RowPrediction[]>;
  /** What the head reads of each row. */
  embed(table: Table, tools: TaskTools): Promise<readonly Float32Array[]>;
}

/**
 * @param texts columns that are learnt from, in the table's order.
 * @param metrics that may be named.
 */
export function tableTask(
  label: string,
  texts: readonly string[],
  problem: Problem,
  metrics: readonly Metric[],
): TableTask {
  const loss = (labelSmoothing: number) => problem.task({ labelSmoothing });
  const tokens = async (table: Table, tools: DataTools) => {
    const { base, settings, signal } = tools;
    const data = await tokenizeRows(
      table,
      textSettings(texts, settings['model.hf_text.max_text_len'], base.config, base.tokenizer),
      base.tokenizer,
      signal,
    );
    tellRows(tools, table, data);
    return data;
  };
  const labels = (table: Table): readonly Cell[] =>
    labelsOf(table.column(label), label, table.source);
  const run = async <P>(
    table: Table,
    task: Task<never, P>,
    tools: TaskTools,
  ): Promise<readonly P[]> => {
    const { predictions } = await predict(
      tools.model,
      task,
      tableData(await tokens(table, tools)),
      {
        batchSize: runSizes(tools.settings).evaluationBatchSize,
        signal: tools.signal,
      },
    );
    return predictions;
  };
  const outputs = (table: Table, tools: TaskTools) => run(table, loss(0), tools);

  return Object.freeze<TableTask>({
    name: problem.type === 'regression' ? 'regression' : 'classification',
    record: {
      name: problem.type === 'regression' ? 'regression' : 'classification',
      label,
      texts,
      problem: problem.record,
    },
    columns: [...texts, label],
    inputs: texts,
    problem,
    label,
    head: (settings) => ({
      kind: 'pooled-linear',
      outputs: problem.outputs,
      pooling: settings['model.hf_text.pooling_mode'] === 'mean' ? 'mean' : 'first',
    }),
    loss: (settings) => loss(settings['optim.label_smoothing']),
    examples: async (table, tools) =>
      tableData(await tokens(table, tools), problem.encode(labels(table))),
    metric: (given = defaultMetric(problem.type)) =>
      typeof given === 'string' ? getMetric(given, metrics) : given,
    checkRows(table, watched) {
      problem.encode(labels(table));
      for (const metric of watched) checkMetric(metric as Metric, problem, labels(table));
      for (const column of texts) table.column(column);
    },
    async scorer(table, watched, tools) {
      const data = tableData(await tokens(table, tools), problem.encode(labels(table)));
      const score = problem.scorer(watched as readonly Metric[], labels(table));
      return async (signal) => {
        const { predictions, loss: mean } = await predict(
          tools.model,
          loss(tools.settings['optim.label_smoothing']),
          data,
          {
            batchSize: runSizes(tools.settings).evaluationBatchSize,
            withLoss: true,
            signal,
          },
        );
        return {
          metrics: { loss: mean!, ...score(predictions) },
          examples: predictions.length,
          predictions: predictions.map((row) => problem.decode(row)),
        };
      };
    },
    predict: async (table, tools) =>
      (await outputs(table, tools)).map((row) => problem.decode(row)),
    outputs,
    embed: (table, tools) => run(table, EMBEDDING, tools),
    rowsOfTexts(given) {
      if (texts.length === 1)
        return tableFromRows(
          given.map((text) => ({ [texts[0]!]: text })),
          'texts',
        );
      throw new PeftError(
        'PEFT_DATA_INVALID',
        `predictor: single texts work for models of one text column, this one has ${texts.join(', ')}.`,
        { hint: 'give a table with these columns' },
      );
    },
    strata: (table) => (problem.type === 'regression' ? undefined : problem.encode(labels(table))),
  });
}
