/**
 * The seam between a predictor and what it predicts: columns in, head and loss of the model,
 * scores, predictions. One file per task.
 */
import type { HeadOptions, Model, ModelDescription } from '@peft/core';
import type { Label, Metric, Table, TableWarning } from '@peft/data';
import type { TextGenerationOptions } from '@peft/generation';
import type { Reward } from '@peft/preference';
import type { Evaluation, Task, TrainingData } from '@peft/trainer';
import type { RowReport } from '../data/row-report.js';
import type { BaseModel, SavedFields } from '../model/base-model.js';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import type { Problem } from '../settings/problem.js';
import type { TaskName } from './task-names.js';
import type { TaskRecord } from './task-record.js';

/** What tells the best of several checkpoints. */
export interface WatchedMetric extends Pick<Metric, 'name' | 'greaterIsBetter' | 'optimum'> {
  /**
   * A score of the same task that decides between checks which come to the same, the more the
   * better. A run does not end at the optimum then: it may still gain in this. Default: none.
   */
  readonly tieMetric?: string;
}

/** What a task reads rows with, before there is a model. */
export interface DataTools {
  readonly base: BaseModel;
  readonly settings: Hyperparameters;
  readonly signal?: AbortSignal | undefined;
  /** Told what became of the rows of each table. */
  readonly tell?: ((rows: RowReport) => void) | undefined;
  /** The column that says which of the adapter's tasks a row is of. */
  readonly taskIdColumn?: string | undefined;
  /** Told of what else goes against expectation. */
  readonly warn?: ((warning: TableWarning) => void) | undefined;
}

/** The model and what belongs to it, when a task computes. */
export interface TaskTools extends DataTools {
  readonly model: Model;
}

/** How texts are written by tasks that write. */
export type WritingOptions = Pick<
  TextGenerationOptions,
  | 'maxNewTokens'
  | 'temperature'
  | 'topK'
  | 'topP'
  | 'repetitionPenalty'
  | 'beams'
  | 'lengthPenalty'
  | 'seed'
  | 'stopStrings'
  | 'endTokens'
  | 'batchSize'
  | 'onText'
>;

/**
 * Scores of labelled rows, by the metrics' own names and `loss`, and what was predicted where that
 * came along.
 */
export interface TaskEvaluation extends Evaluation {
  readonly predictions?: readonly unknown[];
}

/** A document, its score for the query, and its place in the list that was given. */
export interface RankedDocument {
  readonly index: number;
  readonly score: number;
  readonly document: string;
}

/** A task whose columns (and classes) are known. */
export interface PredictorTask {
  readonly name: TaskName;
  /** What a saved predictor needs to make it again. JSON-safe. */
  readonly record: TaskRecord;
  /** Columns that training rows have. */
  readonly columns: readonly string[];
  /** Columns that new rows need. */
  readonly inputs: readonly string[];
  /** The one of them that says which of the adapter's tasks a row is of. */
  readonly taskIdColumn?: string;
  /** Of classes and numbers. */
  readonly problem?: Problem;
  /** Names of the classes that rows are told apart by, or of the labels that they may have. */
  readonly classes?: readonly Label[] | undefined;
  /** Fields of files of the saved model, `config.json` …, beside those that the base's have. */
  savedFiles?(settings: Hyperparameters, description: ModelDescription): SavedFields;
  /** The task as it is on a base that has just been opened. Default: itself. */
  forBase?(base: BaseModel, settings: Hyperparameters): PredictorTask;
  /** The same with what judges the texts that it writes. Only where texts are judged. */
  judgedBy?(rewards: readonly Reward[]): PredictorTask;
  head(settings: Hyperparameters): HeadOptions;
  /** The trainer's side of it. */
  loss(settings: Hyperparameters): Task;
  /** Labelled rows, ready to be packed. */
  examples(table: Table, tools: DataTools): Promise<TrainingData>;
  /** The metric of that name, or the task's own. @throws PEFT_METRIC_UNKNOWN */
  metric(given: string | Metric | undefined): WatchedMetric;
  /** Whether a metric looks at texts that the model writes. Default: none does. */
  writesFor?(metric: WatchedMetric): boolean;
  /**
   * Whether it learns relative to the model as it is without the adapter that trains. Absent where
   * no setting makes it do so.
   */
  comparesWithBase?(settings: Hyperparameters): boolean;
  /**
   * That labels and metric go together, before anything is computed.
   * @throws PEFT_METRIC_…, PEFT_LABEL_…, PEFT_DATA_INVALID
   */
  checkRows(table: Table, metrics: readonly WatchedMetric[]): void;
  /** Prepares labelled rows to be scored, as often as one likes. */
  scorer(
    table: Table,
    metrics: readonly WatchedMetric[],
    tools: TaskTools,
    writing?: WritingOptions,
  ): Promise<(signal?: AbortSignal) => Promise<TaskEvaluation>>;
  /** One prediction per row. */
  predict(table: Table, tools: TaskTools, writing?: WritingOptions): Promise<readonly unknown[]>;
  /** Probabilities of the classes of each row `[C]`. */
  probabilities?(table: Table, tools: TaskTools): Promise<readonly Float64Array[]>;
  /** What the head reads of each row `[D]`. */
  embed?(table: Table, tools: TaskTools): Promise<readonly Float32Array[]>;
  /** Documents by how well they answer a query, best first; of equal scores the first given. */
  rank?(
    query: string,
    documents: readonly string[],
    tools: TaskTools,
  ): Promise<readonly RankedDocument[]>;
  /** What the trained model's validation rows decide: the task from now on, where it changes. */
  afterFit?(validation: Table, tools: TaskTools): Promise<PredictorTask | undefined>;
  /**
   * Rows of texts that were given as they are.
   * @param taskId the task that they are of, where rows say it
   * @throws PEFT_DATA_INVALID when the task needs more than one text a row; PEFT_TASK_ID_MISSING
   */
  rowsOfTexts(texts: readonly string[], taskId?: number): Table;
  /** What of each row must stand on one side of a split: rows of equal texts stay together. */
  groups?(table: Table): readonly string[];
  /** Class of each row, where a split is to keep the classes' shares. */
  strata?(table: Table): ArrayLike<number> | undefined;
}
