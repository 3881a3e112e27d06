/** Token classification: a tag for each word. */
import { describeModel, isDecoder } from '@peft/core';
import {
  entityF1,
  entityPrecision,
  entityRecall,
  marksEntities,
  tagAccuracy,
  tableFromRows,
  tagsOf,
  wordData,
  type Table,
  type TagMetric,
  type TokenData,
  type WordBatch,
} from '@peft/data';
import { didYouMean, PeftError, show } from '@peft/errors';
import { predict, tagScore, tokenClassification } from '@peft/trainer';
import { runSizes } from '../fit/run-plan.js';
import { listsOf, type ColumnRoles } from './column-roles.js';
import type { DataTools, PredictorTask, TaskTools } from './predictor-task.js';
import { withTaskIds } from '../data/task-ids.js';
import { tellRows } from '../data/tell-rows.js';
import { textLength } from './text-length.js';

const TAG_METRICS: readonly TagMetric[] = [entityF1, entityPrecision, entityRecall, tagAccuracy];
/** Given to words that were cut off. */
const OUTSIDE = 'O';

/** The task with the tags that occur in a table. @throws PEFT_TAGS_INVALID */
export function fitTagTask(columns: ColumnRoles, table: Table): PredictorTask {
  const rows = listsOf(table, columns['tags']!).map((tags) => ({ words: tags, tags }));
  const tags = tagsOf(rows);
  if (tags.length < 2)
    throw new PeftError(
      'PEFT_TAGS_INVALID',
      `predictor: all words of ${table.source} have the tag ${show(tags[0])}, so that there is nothing to tell apart.`,
      { hint: `is ${show(columns['tags'])} the column of the tags?` },
    );
  return tagTask(columns, tags);
}

/** @param columns by role: `tokens` and `tags`. @param tags class i is tags[i]. */
export function tagTask(columns: ColumnRoles, tags: readonly string[]): PredictorTask {
  const [words, wanted] = [columns['tokens']!, columns['tags']!];
  const task = tokenClassification({ classes: tags.length });
  const data = async (
    table: Table,
    tools: DataTools,
    isLabelled: boolean,
  ): Promise<TokenData<WordBatch>> => {
    const labels = isLabelled ? listsOf(table, wanted) : undefined;
    const rows = listsOf(table, words).map((row, i) => ({
      words: row,
      tags: labels?.[i],
    }));
    const made = await wordData(rows, tools.base.tokenizer, {
      maxLength: textLength(tools),
      tags,
      from: readsLastToken(tools) ? 'last' : 'first',
      signal: tools.signal,
    });
    tellRows(tools, table, made);
    return withTaskIds(made, table, tools);
  };
  const run = async (
    rows: TokenData<WordBatch>,
    { model, settings }: TaskTools,
    withLoss: boolean,
    signal?: AbortSignal,
  ) =>
    predict(model, task, rows, {
      batchSize: runSizes(settings).evaluationBatchSize,
      withLoss,
      signal,
    });
  const tagsOfRow = (ids: Int32Array): string[] => Array.from(ids, (id) => tags[id] ?? OUTSIDE);

  return Object.freeze<PredictorTask>({
    name: 'token-classification',
    record: { name: 'token-classification', columns, tags },
    columns: [words, wanted],
    inputs: [words],
    head: () => ({ kind: 'token-classification', outputs: tags.length }),
    loss: () => task,
    examples: (table, tools) => data(table, tools, true),
    metric(given = (marksEntities(tags) ? entityF1 : tagAccuracy).name) {
      if (typeof given !== 'string') return given;
      const found = TAG_METRICS.find(
        ({ name }) =>
          name === given.toLowerCase().replaceAll('-', '_') ||
          name === `entity_${given.toLowerCase()}` ||
          name === `tag_${given.toLowerCase()}`,
      );
      if (found) return found;
      const names = TAG_METRICS.map(({ name }) => name);
      throw new PeftError('PEFT_METRIC_UNKNOWN', `predictor: tags have no metric ${show(given)}.`, {
        hint: `${didYouMean(given, names)} Metrics: ${names.join(', ')}.`.trim(),
      });
    },
    checkRows(table, metrics) {
      const labels = listsOf(table, wanted);
      // Labels alone decide whether a metric of tags has a value.
      for (const metric of metrics) (metric as TagMetric).compute(labels, labels);
      listsOf(table, words).forEach((row, i) => {
        const unknown = labels[i]!.find((tag) => !tags.includes(tag));
        if (labels[i]!.length !== row.length)
          throw new PeftError(
            'PEFT_TAGS_INVALID',
            `predictor: row ${i} of ${table.source} has ${row.length} words and ${labels[i]!.length} tags.`,
            { hint: 'give each word one tag' },
          );
        if (unknown !== undefined)
          throw new PeftError(
            'PEFT_TAGS_INVALID',
            `predictor: row ${i} of ${table.source} has the tag ${show(unknown)}, which training did not have.`,
            { hint: `${didYouMean(unknown, tags)} Tags: ${tags.join(', ')}.`.trim() },
          );
      });
    },
    async scorer(table, metrics, tools) {
      const rows = await data(table, tools, true);
      const labels = listsOf(table, wanted).filter((_, row) => !rows.skipped.includes(row));
      const score = tagScore({ metrics: metrics as readonly TagMetric[], labels, tags });
      return async (signal) => {
        const { predictions, loss } = await run(rows, tools, true, signal);
        return {
          metrics: { loss: loss!, ...score(predictions) },
          examples: predictions.length,
          predictions: rows.skipped.length === 0 ? predictions.map(tagsOfRow) : undefined,
        };
      };
    },
    async predict(table, tools) {
      const rows = await data(table, tools, false);
      const made = (await run(rows, tools, false, tools.signal)).predictions.map(tagsOfRow);
      return listsOf(table, words).map((row, i) =>
        rows.skipped.includes(i) ? row.map(() => OUTSIDE) : made.shift()!,
      );
    },
    rowsOfTexts: (texts) =>
      tableFromRows(
        texts.map((text) => ({ [words]: text })),
        'texts',
      ),
  });
}

/** A decoder's token has seen no token behind it: a word is told from its last. */
const readsLastToken = ({ base: { architecture, config } }: DataTools): boolean =>
  isDecoder(describeModel(architecture, architecture.parseConfig(config)));
