/** What goes into a predictor and what comes out of it. */
import type { MethodSpec, Model, Module, TrainEvent } from '@peft/core';
import type { ColumnType, Label, ProblemType, Table } from '@peft/data';
import type { JsonObject } from '@peft/hub';
import type { Reward } from '@peft/preference';
import type { EngineName } from '../engine/engine-choice.js';
import type { HyperparameterInput } from './hyperparameter-input.js';
import type { MetricInput } from './metric-names.js';
import type { PresetName } from './presets.js';
import type { ColumnRoles } from '../tasks/column-roles.js';
import type { WritingOptions } from '../tasks/predictor-task.js';
import type { TaskName } from '../tasks/task-names.js';

/** A file (CSV, TSV, JSON Lines, JSON, Parquet, plain text), a table, or rows as objects. */
export type PredictorData = string | Table | readonly object[];

/** What a predictor learns, and where it lies. */
export interface PredictorOptions {
  /** What is to be learnt. Default: `classification` or `regression`, found from the labels. */
  readonly task?: TaskName;
  /**
   * Column to be predicted, of classification and regression; of multi-label classification one that
   * holds lists, or several that say 0 or 1 of a label each.
   */
  readonly label?: string | readonly string[];
  /**
   * Column of how much each training row counts, of classification, regression and multi-label
   * classification. Default: all rows count alike.
   */
  readonly sampleWeight?: string;
  /**
   * Column of the task of each row, from 0, for methods that learn several at once (`poly`,
   * `multitask-prompt-tuning`): of training rows and of new ones.
   */
  readonly taskIdColumn?: string;
  /**
   * Which columns the other tasks read, where they have other names: `{ prompt: 'instruction',
   * completion: 'output' }`.
   */
  readonly columnRoles?: ColumnRoles;
  /**
   * Folder that a fit saves into; it must be empty or missing. Without one nothing is written until
   * `save`.
   */
  readonly path?: string;
  /** Default: found from the labels. */
  readonly problemType?: ProblemType | 'classification';
  /**
   * Watched while training and the default of `evaluate`. Default `roc_auc` for two classes,
   * `accuracy` for more, `root_mean_squared_error` for numbers, `entity_f1` for tags,
   * `average_precision_micro` for rows of several labels, `perplexity`
   * for language models, `mean_reciprocal_rank` for embeddings.
   */
  readonly evalMetric?: MetricInput;
  /** Named set of hyperparameters; a fit may name another. Default `default`. */
  readonly presets?: PresetName;
  /** Settings of every fit; those given to a fit win. */
  readonly hyperparameters?: HyperparameterInput;
  /**
   * Replace parts: bind the tokens of `predictorModule` (architectures, methods, metrics, engine,
   * clock, event bus …).
   */
  readonly modules?: readonly Module[];
  /** Told of what a listener of the events threw. Default: nobody. */
  readonly onListenerError?: (error: unknown) => void;
}

/** How `fit` trains. */
export interface FitOptions {
  readonly presets?: PresetName;
  readonly hyperparameters?: HyperparameterInput;
  /** Validation data. Default: a part of the training data is held out. */
  readonly tuningData?: PredictorData;
  /**
   * Part of the training rows to hold out, in (0, 1). Default: as AutoGluon, 10 to 20 % of few
   * rows, 1 to 10 % of many.
   */
  readonly holdoutFraction?: number;
  /** Names of the columns of files without a header. */
  readonly columns?: readonly string[];
  /**
   * Whether the first line of CSV and TSV files names the columns. Default: found from the cells.
   */
  readonly header?: boolean;
  /** What separates the cells of CSV and TSV files. Default: found from the first rows. */
  readonly delimiter?: string;
  /** Whether `"` quotes the cells of CSV and TSV files. Default true. */
  readonly quotes?: boolean;
  /** Columns to learn from, joined in the table's order. Default: all that hold texts. */
  readonly textColumns?: readonly string[];
  /** Types of columns that should not be guessed, `{ comment: 'text' }`. */
  readonly columnTypes?: Readonly<Record<string, ColumnType>>;
  /** Train on that many rows, drawn by the seed before anything is held out. */
  readonly sample?: number;
  /** Ends the training after its first step past it. */
  readonly timeLimitSeconds?: number;
  /** Decides sample, split, order, dropout and fresh weights. Default: `env.seed`, 0. */
  readonly seed?: number;
  /**
   * Go on with an interrupted run in the same folder; afresh when it had not come to a checkpoint.
   * Default false.
   */
  readonly resume?: boolean;
  /** Resume from this checkpoint instead of the newest: its step, `checkpoint-12`, or its path. */
  readonly resumeFrom?: number | string;
  /**
   * Lets a resumed run have another schedule, more epochs say: from its checkpoint on the new one
   * counts, with a warning. Default false: refused.
   */
  readonly restateSchedule?: boolean;
  /** Copy the base model's weights into the saved folder. Default true. */
  readonly standalone?: boolean;
  /**
   * Ends the run after the present micro-batch, with a checkpoint to resume from; `fit` then throws
   * PEFT_RUN_ABORTED.
   */
  readonly signal?: AbortSignal;
  /** What judges the completions of `grpo`, weighted. Functions are not saved. */
  readonly rewards?: readonly Reward[];
  /** Any PEFT method; wins over `optim.peft`. */
  readonly method?: MethodSpec;
  /**
   * Folder of an adapter to go on from instead of a fresh one: ours or PEFT's, or a saved
   * predictor. Its file names the method; the base model must be the one that it was trained on.
   */
  readonly adapter?: string;
  /**
   * Folder of an adapter, ours or PEFT's, or of a saved predictor, that stays as it is beneath the
   * one that trains; it is saved along. Its head gives way to the new one's.
   */
  readonly baseAdapter?: string;
  /**
   * Told of the model with the adapter that is about to train, before the first step. What it throws
   * ends the fit.
   */
  readonly beforeTraining?: (model: Model) => void;
  /** What would start the same fit again, kept in `run.json` as it is. JSON-safe. */
  readonly request?: JsonObject;
}

/** How a file of new data is read. */
export interface ReadOptions {
  /**
   * Names of the columns of a file without a header. Default: as in training, where the file has no
   * header with the texts' columns.
   */
  readonly columns?: readonly string[];
  /**
   * Whether the first line of a CSV or TSV file names the columns. Default: found from the cells.
   */
  readonly header?: boolean;
  /** What separates the cells of a CSV or TSV file. Default: found from the first rows. */
  readonly delimiter?: string;
  /** Whether `"` quotes the cells of a CSV or TSV file. Default true. */
  readonly quotes?: boolean;
  /** Rejects with its reason once aborted. */
  readonly signal?: AbortSignal;
}

/** How `evaluate` reads its data, and what it measures. */
export interface EvaluateOptions extends ReadOptions {
  /** Metrics or their names. Default: the predictor's metric. */
  readonly metrics?: MetricInput | readonly MetricInput[];
  /** How texts are written, where a metric compares them. Default: greedy. */
  readonly writing?: WritingOptions;
  /** What judges what a model of `grpo` writes, weighted: functions are not saved with it. */
  readonly rewards?: readonly Reward[];
  /** Also return the predictions. Default false. */
  readonly returnPredictions?: boolean;
}

/** How `predict` reads its data, and what it gives. */
export interface PredictOptions extends ReadOptions {
  /** How language models write. Default: greedy, at most `model.hf_text.max_target_len` tokens. */
  readonly writing?: WritingOptions;
  /** Embeddings: their first so many numbers. Default: `model.hf_text.truncate_dim`, else all. */
  readonly dimensions?: number;
}

/** Scores by the metrics' names as they were given. */
export type Scores = Readonly<Record<string, number>>;

/** Scores together with the predictions that were scored. */
export interface ScoredPredictions<P = Label> {
  readonly scores: Scores;
  readonly predictions: readonly P[];
}

/** How `predictProba` reads its data, and what it gives. */
export interface ProbabilityOptions extends ReadOptions {
  /** False, for two classes: the probability of the positive class alone. Default true. */
  readonly asMulticlass?: boolean;
}

/** How a predictor is saved. */
export interface SaveOptions {
  /** Copy the base model's weights too, so that the folder needs nothing else. Default true. */
  readonly standalone?: boolean;
}

/** How a saved predictor is opened. */
export interface LoadOptions extends Pick<PredictorOptions, 'modules' | 'onListenerError'> {
  /** Default `auto`: the best that works here. */
  readonly engine?: 'auto' | EngineName;
  readonly precision?: 'auto' | '32' | 'bf16';
  /** Threads of the native engine. Default: all cores. */
  readonly threads?: number;
  /** Folder or hub id of the base model, where it moved since a save with `standalone: false`. */
  readonly baseModel?: string;
  /** Told of downloads, loading and warnings; goes on listening to the predictor. */
  readonly onEvent?: (event: TrainEvent) => void;
  readonly signal?: AbortSignal;
}

/** What a trained predictor predicts, and from what; plain values, which cross into threads. */
export interface PredictorDescription {
  readonly task: TaskName;
  /** Column that is predicted, or several of a multi-label task. */
  readonly label: string | readonly string[] | undefined;
  /** By class id; undefined for numbers, and for tasks without classes of rows. */
  readonly classLabels: readonly Label[] | undefined;
  readonly problemType: ProblemType | undefined;
  /** Columns that new rows need. */
  readonly textColumns: readonly string[];
  /** The one of them that says which of the adapter's tasks a row is of. */
  readonly taskIdColumn: string | undefined;
}

/** How the last fit went. JSON-safe. */
export interface FitSummary {
  readonly metric: string;
  /** On the validation rows, of the weights that the model has now. */
  readonly validationScore: number;
  /** Mean over the last epoch's steps; absent when a resumed run had no step left. */
  readonly trainingLoss?: number;
  readonly trainingSeconds: number;
  /** Optimiser steps done. */
  readonly steps: number;
  readonly reason: 'completed' | 'stopped-early';
  /** Checkpoints (by step) whose mean the weights are. */
  readonly averagedSteps: readonly number[];
  readonly trainingRows: number;
  readonly validationRows: number;
  readonly peakMemoryBytes: number;
  /**
   * What was planned before; absent where the engine's memory cannot be planned and in a further
   * fit.
   */
  readonly plannedPeakBytes?: number;
  /** Method that was trained, for instance `ia3_bias`. */
  readonly method: string;
  /** What computed it, `native (bf16)`. */
  readonly engine?: string;
  readonly trainableParameters: number;
  readonly totalParameters: number;
}
