/** Rerankers: a cross-encoder that scores how well a document answers a query. */
import {
  documentData,
  getRankingMetric,
  pairTable,
  tableFromRows,
  type RankingMetric,
  type Table,
  type TextPair,
} from '@peft/data';
import { PeftError } from '@peft/errors';
import { readValues } from '@peft/ops';
import {
  predict,
  ranking,
  rankingScore,
  tableData,
  type RankingLoss,
  type Task,
} from '@peft/trainer';
import type { ModelBatch } from '@peft/core';
import { tellRows } from '../../data/tell-rows.js';
import { runSizes } from '../../fit/run-plan.js';
import type { SavedFields } from '../../model/base-model.js';
import type { Hyperparameters } from '../../settings/hyperparameter-types.js';
import { textsOf, type ColumnRoles } from '../column-roles.js';
import { classifierConfig, classifierHead } from '../labels/classifier-head.js';
import type { DataTools, PredictorTask, RankedDocument, TaskTools } from '../predictor-task.js';
import type { TaskRecord } from '../task-record.js';
import { encodeRows, queriesOf, rankingRows, type RankingRows } from './ranking-rows.js';

export type RankingRecord = Extract<TaskRecord, { name: 'ranking' }>;

const NAME = 'ranking';
const DEFAULT_METRIC = 'ndcg@10';

/** The task that a fit's settings ask for. */
export const fitRankingTask = (columns: ColumnRoles, settings: Hyperparameters): PredictorTask =>
  rankingTask({ name: NAME, columns, loss: settings['optim.ranking_loss'], head: 'pooled-linear' });

/**
 * @param record columns by role: `query`, and `document` with `relevance`, or `positive` and
 *   `negative`.
 */
export function rankingTask(record: RankingRecord): PredictorTask {
  const { columns, loss } = record;
  const query = columns['query']!;
  const document = columns['document'] ?? columns['positive']!;
  const taskOf = (settings: Hyperparameters) =>
    ranking({ loss, margin: settings['optim.ranking_margin'] });

  /** Rows with tokens; queries in which nothing can be compared are left out, and told. */
  const prepared = async (table: Table, tools: DataTools) => {
    const made = rankingRows(table, columns);
    const encoded = await encodeRows(made.pairs, tools);
    const queries = queriesOf(made);
    const groups = queries.filter((pairs) => canLearn(loss, pairs, made.relevances));
    const used = new Set(groups.flat());
    const rowsOf = (pairs: Iterable<number>): number[] => [
      ...new Set(Array.from(pairs, (pair) => made.rows[pair]!)),
    ];
    tellRows(tools, table, {
      cut: rowsOf(encoded.cut),
      empty: rowsOf(encoded.empty),
      skipped: rowsOf([...made.rows.keys()].filter((pair) => !used.has(pair))),
    });
    if (groups.length === 0)
      throw new PeftError(
        'PEFT_DATA_INVALID',
        `predictor: no query of ${table.source} has documents that differ in relevance.`,
        {
          hint: 'the loss compares the documents of one query: give it several, and one that answers',
        },
      );
    return { ...made, encoded, groups, queries };
  };
  /** A pair is an example of its own where it is compared with nothing. */
  const examplesOf = (groups: readonly (readonly number[])[]): readonly (readonly number[])[] =>
    loss === 'pointwise' ? groups.flat().map((pair) => [pair]) : groups;
  const shown = (logit: number): number =>
    loss === 'pointwise' ? 1 / (1 + Math.exp(-logit)) : logit;
  /** A score for each pair; the table's rows are those of the pairs. */
  const scores = async (
    table: Table,
    pairs: readonly TextPair[],
    tools: TaskTools,
  ): Promise<number[]> => {
    const encoded = await encodeRows(pairs, tools);
    tellRows(tools, table, { cut: encoded.cut, empty: encoded.empty });
    const { predictions } = await predict(tools.model, SCORE, tableData(pairTable(encoded)), {
      batchSize: runSizes(tools.settings).evaluationBatchSize,
      signal: tools.signal,
    });
    return predictions.map(shown);
  };

  return Object.freeze<PredictorTask>({
    name: NAME,
    record,
    columns: Object.values(columns),
    inputs: [query, document],
    head: (settings) => classifierHead(record.head, 1, settings),
    forBase: (base, settings) =>
      rankingTask({ ...record, head: classifierConfig(base, 1, settings) }),
    savedFiles: () => (record.head === 'sequence-classification' ? savedFiles(loss) : {}),
    loss: taskOf,
    async examples(table, tools) {
      const { encoded, relevances, groups } = await prepared(table, tools);
      return documentData(encoded, relevances, examplesOf(groups));
    },
    metric: (given = DEFAULT_METRIC) =>
      typeof given === 'string' ? getRankingMetric(given) : given,
    checkRows(table, metrics) {
      const made = rankingRows(table, columns);
      const grade = made.relevances.findIndex((value) => value > 1);
      if (loss === 'pointwise' && grade >= 0)
        throw new PeftError(
          'PEFT_DATA_INVALID',
          `predictor: row ${table.origin(made.rows[grade]!)} of ${table.source} has the relevance ` +
            `${made.relevances[grade]}, and the pointwise loss takes probabilities.`,
          { hint: 'scale relevances to [0, 1], or set optim.ranking_loss to list or margin' },
        );
      for (const metric of metrics as readonly RankingMetric[])
        metric.compute(listsOf(made, queriesOf(made), made.relevances));
    },
    async scorer(table, metrics, tools) {
      const { encoded, relevances, queries } = await prepared(table, tools);
      const examples = examplesOf(queries);
      const data = documentData(encoded, relevances, examples);
      const score = rankingScore({
        metrics: metrics as readonly RankingMetric[],
        relevances: queries.map((pairs) => pairs.map((pair) => relevances[pair]!)),
      });
      return async (signal) => {
        const { settings, model } = tools;
        const { predictions, loss: mean } = await predict(model, taskOf(settings), data, {
          batchSize: examplesAtOnce(settings, loss),
          withLoss: true,
          signal,
        });
        const made = new Float64Array(relevances.length); // by pair
        predictions.forEach((row, i) => examples[i]!.forEach((pair, d) => (made[pair] = row[d]!)));
        return {
          metrics: {
            loss: mean!,
            ...score(queries.map((pairs) => pairs.map((pair) => made[pair]!))),
          },
          examples: queries.length,
          predictions: columns['document'] === undefined ? undefined : Array.from(made, shown),
        };
      };
    },
    predict(table, tools) {
      const queries = textsOf(table, query);
      const documents = textsOf(table, document);
      return scores(
        table,
        queries.map((text, row): TextPair => [text, documents[row]!]),
        tools,
      );
    },
    async rank(text, documents, tools) {
      const made = await scores(
        tableFromRows(
          documents.map((each) => ({ document: each })),
          'documents',
        ),
        documents.map((each): TextPair => [text, each]),
        tools,
      );
      return documents
        .map((each, index): RankedDocument => ({ index, score: made[index]!, document: each }))
        .sort((a, b) => b.score - a.score || a.index - b.index);
    },
    rowsOfTexts() {
      throw new PeftError(
        'PEFT_DATA_INVALID',
        'predictor: a reranker scores documents for a query, single texts are neither.',
        { hint: 'use rank(query, documents) (CLI: peft rank), or give a table with both columns' },
      );
    },
    groups: (table) => textsOf(table, query),
  });
}

/** The single logit of each pair. */
const SCORE: Task<ModelBatch, number> = Object.freeze({
  name: 'ranking-score',
  count: ({ offsets }: ModelBatch) => offsets.length - 1,
  loss: () => {
    throw new PeftError('PEFT_TASK_LABELS', 'ranking-score: it has no loss.');
  },
  // [B, 1]: a prediction is a number
  predict: async ({ logits }) => Array.from(await readValues(logits!)),
} satisfies Task<ModelBatch, number>);

/** Whether the documents of a query differ, where the loss compares them. */
function canLearn(
  loss: RankingLoss,
  pairs: readonly number[],
  relevances: readonly number[],
): boolean {
  if (loss === 'pointwise') return true;
  const [first, ...others] = pairs.map((pair) => relevances[pair]!);
  return others.some((relevance) => relevance !== first);
}

/** Queries with all their documents are as many as in training: each may be long. */
const examplesAtOnce = (settings: Hyperparameters, loss: RankingLoss): number =>
  loss === 'pointwise' ? runSizes(settings).evaluationBatchSize : runSizes(settings).microBatchSize;

const listsOf = (
  { relevances }: RankingRows,
  queries: readonly (readonly number[])[],
  scores: readonly number[],
) =>
  queries.map((pairs) => ({
    relevances: pairs.map((pair) => relevances[pair]!),
    scores: pairs.map((pair) => scores[pair]!),
  }));

/** As sentence-transformers' CrossEncoder saves one. */
const savedFiles = (loss: RankingLoss): SavedFields => ({
  'config.json': {
    id2label: { 0: 'LABEL_0' },
    label2id: { LABEL_0: 0 },
    sentence_transformers: {
      activation_fn:
        loss === 'pointwise'
          ? 'torch.nn.modules.activation.Sigmoid'
          : 'torch.nn.modules.linear.Identity',
    },
  },
});
