/** Embeddings of texts, learnt by contrast from texts that belong together. */
import type { ModelBatch } from '@peft/core';
import { tableFromRows, textGroupData, type Table, type TokenData } from '@peft/data';
import { check, didYouMean, PeftError, show } from '@peft/errors';
import { embeddings, predict, retrievalScore, truncateEmbedding, type Task } from '@peft/trainer';
import type { Hyperparameters } from '../../settings/hyperparameter-types.js';
import { runSizes } from '../../fit/run-plan.js';
import { describeBase } from '../../model/base-model.js';
import { textsOf, type ColumnRoles } from '../column-roles.js';
import type { DataTools, PredictorTask, TaskTools, WatchedMetric } from '../predictor-task.js';
import { tellRows } from '../../data/tell-rows.js';
import { sentenceTransformersFiles } from './sentence-transformers-files.js';
import { textLength } from '../text-length.js';

const METRICS = ['mean_reciprocal_rank', 'top1'] as const;

/** A metric of embeddings, of their first `dimensions` numbers where these are named. */
interface EmbeddingMetric extends WatchedMetric {
  readonly dimensions?: number | undefined;
}

/** @param columns by role: `anchor`, `positive`, and `negative` where there is one. */
export function embeddingTask(columns: ColumnRoles): PredictorTask {
  const all = ['anchor', 'positive', 'negative'].flatMap((role) => columns[role] ?? []);
  const [anchor] = all as [string];
  const taskOf = (settings: Hyperparameters): Task<ModelBatch, readonly Float32Array[]> =>
    embeddings({
      pooling: settings['model.hf_text.pooling_mode'] === 'mean' ? 'mean' : 'first',
      dimensions: settings['optim.matryoshka_dimensions'] ?? undefined,
      dimensionWeights: settings['optim.matryoshka_weights'] ?? undefined,
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
  const vectors = async (table: Table, tools: TaskTools): Promise<Float32Array[]> => {
    const { model, settings, signal } = tools;
    const size = settings['model.hf_text.truncate_dim'];
    if (size !== null) requireDimensions(size, model.description.hiddenSize);
    const data = await groups(table, [anchor], tools);
    const { predictions } = await embed(data, tools, false, signal);
    return predictions.map(([embedding]) =>
      size === null ? embedding! : truncateEmbedding(embedding!, size),
    );
  };
  const task: PredictorTask = Object.freeze<PredictorTask>({
    name: 'embeddings',
    record: { name: 'embeddings', columns },
    columns: all,
    inputs: [anchor],
    savedFiles: sentenceTransformersFiles,
    head: () => ({ kind: 'none' }),
    forBase(base, settings) {
      const { hiddenSize } = describeBase(base, { kind: 'none' });
      const truncated = settings['model.hf_text.truncate_dim'];
      for (const size of [settings['optim.matryoshka_dimensions'] ?? [], truncated ?? []].flat())
        requireDimensions(size, hiddenSize);
      return task;
    },
    loss: taskOf,
    examples: (table, tools) => groups(table, all, tools),
    metric: (given = METRICS[0]) => (typeof given === 'string' ? embeddingMetric(given) : given),
    checkRows: (table) => void all.map((column) => textsOf(table, column)),
    async scorer(table, metrics, tools) {
      const data = await groups(table, all, tools);
      const { settings, model } = tools;
      const wanted = metrics.map(({ dimensions }: EmbeddingMetric) => dimensions ?? []).flat();
      for (const size of wanted) requireDimensions(size, model.description.hiddenSize);
      const sizes = new Set([...(settings['optim.matryoshka_dimensions'] ?? []), ...wanted]);
      return async (signal) => {
        const { predictions, loss } = await embed(data, tools, true, signal);
        const scores = Object.fromEntries(
          [...sizes].flatMap((size) =>
            Object.entries(scoreOf(predictions, size)).map(([name, value]) => [
              `${name}@${size}`,
              value,
            ]),
          ),
        );
        return {
          metrics: {
            loss: loss!,
            ...scoreOf(predictions, settings['model.hf_text.truncate_dim']),
            ...scores,
          },
          examples: predictions.length,
        };
      };
    },
    predict: vectors,
    embed: vectors,
    rowsOfTexts: (texts) =>
      tableFromRows(
        texts.map((text) => ({ [anchor]: text })),
        'texts',
      ),
  });
  return task;
}

/** @throws PEFT_CONFIG_INVALID for more dimensions than there are */
function requireDimensions(wanted: number, width: number): void {
  check.positiveInteger('predictor', 'dimensions', wanted);
  if (wanted <= width) return;
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `predictor: the model's embeddings have ${width} dimensions, ${wanted} were asked for.`,
    { hint: `name dimensions up to ${width}` },
  );
}

/** Scores of embeddings, cut to a size where one is given. */
const scoreOf = (
  predictions: readonly (readonly Float32Array[])[],
  size: number | null,
): Record<string, number> =>
  retrievalScore(
    size === null
      ? predictions
      : predictions.map((row) => row.map((embedding) => truncateEmbedding(embedding, size))),
  );

/** `top1`, or of the first numbers of each embedding, `top1@64`. @throws PEFT_METRIC_UNKNOWN */
function embeddingMetric(given: string): EmbeddingMetric {
  const [, name, dimensions] = /^([^@]*)(?:@([1-9]\d{0,5}))?$/.exec(
    given.toLowerCase().replaceAll('-', '_'),
  ) ?? [undefined, given];
  if (METRICS.some((known) => known === name))
    return Object.freeze<EmbeddingMetric>({
      name: dimensions === undefined ? name! : `${name}@${dimensions}`,
      greaterIsBetter: true,
      optimum: 1,
      dimensions: dimensions === undefined ? undefined : Number(dimensions),
    });
  throw new PeftError(
    'PEFT_METRIC_UNKNOWN',
    `predictor: embeddings have no metric ${show(given)}.`,
    {
      hint: `${didYouMean(name ?? given, METRICS)} Metrics: ${METRICS.join(', ')}, each also @DIMENSIONS.`.trim(),
    },
  );
}

/**
 * The tools of a prediction of embeddings with that many dimensions.
 * @throws PEFT_CONFIG_INVALID for another task
 */
export function withDimensions(
  tools: TaskTools,
  { name }: PredictorTask,
  dimensions: number | undefined,
): TaskTools {
  if (dimensions === undefined) return tools;
  if (name !== 'embeddings')
    throw new PeftError('PEFT_CONFIG_INVALID', `predictor: ${name} gives no embeddings to cut.`, {
      hint: 'leave out dimensions',
    });
  return { ...tools, settings: { ...tools.settings, 'model.hf_text.truncate_dim': dimensions } };
}
