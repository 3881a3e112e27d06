/** Data in, model out: the class that applications and the command line use. */
import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { compose, override, type App, type TrainEvent, type TrainEventBus } from '@peft/core';
import type { Label, Metric, ProblemType, Table } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import { CLOCK, COLLECTIVE, EVENT_BUS } from '@peft/trainer';
import { CallGate } from './call-gate.js';
import type { EventBody } from './model/base-model.js';
import { checkTaskOptions } from './fit/choose-task.js';
import { fitWithFolder } from './fit/fit-with-folder.js';
import { readPredictor } from './folder/load-predictor.js';
import { finishPredictor, writePredictor } from './folder/predictor-folder.js';
import { predictorModule } from './predictor-module.js';
import { disposeState, type PredictorState } from './model/predictor-state.js';
import type {
  EvaluateOptions,
  FitOptions,
  FitSummary,
  LoadOptions,
  PredictOptions,
  PredictorData,
  PredictorDescription,
  PredictorOptions,
  ProbabilityOptions,
  ReadOptions,
  SaveOptions,
  ScoredPredictions,
  Scores,
} from './settings/predictor-types.js';
import {
  EVALUATE_KEYS,
  FIT_KEYS,
  LOAD_KEYS,
  PREDICTOR_KEYS,
  READING_KEYS,
} from './settings/option-keys.js';
import { judgedBy } from './tasks/preference/judged-by.js';
import { requireProbabilities } from './settings/require-probabilities.js';
import { readNewData } from './data/read-data.js';
import { rowWarning } from './data/row-report.js';
import { checkModelTasks, rowsOfTexts } from './data/task-ids.js';
import { embedderOf } from './tasks/pooled-embedding.js';
import { withDimensions } from './tasks/embeddings/embedding-task.js';
import { rankerOf, type RankOptions } from './tasks/ranking/rank-options.js';
import type { RankedDocument, TaskTools, WatchedMetric } from './tasks/predictor-task.js';
import type { ColumnRoles } from './tasks/column-roles.js';
import type { TaskName } from './tasks/task-names.js';
import { labelOf } from './tasks/task-record.js';

/**
 * Fine-tunes a text model on a table and predicts with it, in the manner of AutoGluon's
 * MultiModalPredictor: labels of rows, numbers, tags of words, texts, embeddings.
 *
 * One call at a time; `dispose` frees the model.
 */
export class PeftPredictor {
  #options: PredictorOptions;
  readonly #app: App;
  readonly #bus: TrainEventBus;
  #state: PredictorState | undefined;
  /** The folder holds this very predictor. */
  #isSaved = false;
  readonly #gate = new CallGate();

  /** @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY */
  constructor(options: PredictorOptions) {
    check.knownKeys('PeftPredictor', options, PREDICTOR_KEYS);
    checkTaskOptions(options);
    this.#options = options;
    this.#app = compose(
      predictorModule(options.onListenerError),
      ...(options.modules ?? []).map(override),
    );
    this.#bus = this.#app.get(EVENT_BUS);
  }

  /**
   * Reads a folder that `fit` or `save` wrote, treating it as hostile input.
   * @throws PEFT_PREDICTOR_MISSING, PEFT_PREDICTOR_INVALID, PEFT_ADAPTER_MISMATCH, and what reading
   *   models and adapters throws
   */
  static async load(path: string, options: LoadOptions = {}): Promise<PeftPredictor> {
    check.knownKeys('PeftPredictor.load', options, LOAD_KEYS);
    const { modules, onListenerError, onEvent } = options;
    const parts = { modules, onListenerError };
    const predictor = new PeftPredictor({ label: 'unknown until it is read', ...parts });
    if (onEvent) predictor.listen(onEvent);
    try {
      const state = await readPredictor(path, predictor.#app, predictor.#emitter(), options);
      const { task } = state;
      predictor.#options = { task: task.name, label: labelOf(task.record), path, ...parts };
      predictor.#state = state;
      predictor.#isSaved = true;
      return predictor;
    } catch (error) {
      predictor.dispose();
      throw error;
    }
  }

  /** What happens while fitting: progress bars, logs and tests listen to it. */
  get events$(): TrainEventBus['events$'] {
    return this.#bus.events$;
  }

  /** Subscribes a sink whose failure does not hurt the run. @returns its subscription */
  listen(sink: (event: TrainEvent) => void): ReturnType<TrainEventBus['listen']> {
    return this.#bus.listen(sink);
  }

  /**
   * Trains on a table; a further call goes on with the trained model on the given data.
   *
   * With a `path` the predictor is saved there at the end; checkpoints lie in `<path>/checkpoints`
   * meanwhile, and `events.jsonl` and `run.json` tell of the run.
   * @returns this predictor.
   * @throws PEFT_FOLDER_NOT_EMPTY, PEFT_RUN_COMPLETE; PEFT_RUN_ABORTED after the signal; the errors
   *   of data, settings, model and training. After bad input nothing is left behind.
   */
  async fit(train: PredictorData, options: FitOptions = {}): Promise<this> {
    check.knownKeys('fit', options, FIT_KEYS);
    return this.#gate.alone(async () => {
      // of several ranks the first has the folder
      const { path } = this.#app.get(COLLECTIVE).rank === 0 ? this.#options : {};
      const state = await fitWithFolder({
        app: this.#app,
        predictor: { ...this.#options, path },
        data: train,
        options,
        previous: () => this.#state,
        isSaved: this.#isSaved,
        emitter: (runId) => this.#emitter(runId),
      });
      this.#state = state;
      if (path !== undefined) {
        await finishPredictor(path, state, options.standalone ?? true);
        this.#isSaved = true;
      }
      return this;
    });
  }

  /**
   * Scores new rows by the predictor's metric, or others.
   * @throws PEFT_LABEL_UNKNOWN for a label that training did not have, PEFT_COLUMN_MISSING,
   *   PEFT_METRIC_UNKNOWN, PEFT_METRIC_UNDEFINED, PEFT_REWARD_MISSING for `grpo` without rewards
   */
  evaluate<P = Label>(
    data: PredictorData,
    options: EvaluateOptions & { readonly returnPredictions: true },
  ): Promise<ScoredPredictions<P>>;
  evaluate(
    data: PredictorData,
    options?: EvaluateOptions & { readonly returnPredictions?: false },
  ): Promise<Scores>;
  async evaluate(
    data: PredictorData,
    options: EvaluateOptions = {},
  ): Promise<Scores | ScoredPredictions<unknown>> {
    check.knownKeys('evaluate', options, EVALUATE_KEYS);
    const { task: fitted, metric: own } = this.#fitted('evaluate');
    const task = judgedBy(fitted, options.rewards);
    const named = [options.metrics ?? own].flat().map((given) => ({
      name: typeof given === 'string' ? given : given.name,
      metric: given === own ? own : task.metric(given as string | Metric),
    }));
    const metrics = named.map(({ metric }): WatchedMetric => metric);
    const table = await this.#read(data, options);
    task.checkRows(table, metrics);
    return this.#computing(options.signal, async (tools) => {
      const score = await task.scorer(table, metrics, tools, options.writing);
      const made = await score(options.signal);
      const scores = Object.fromEntries(
        named.map(({ name, metric }) => [name, made.metrics[metric.name]!]),
      );
      if (!options.returnPredictions) return scores;
      const predictions = made.predictions ?? (await task.predict(table, tools, options.writing));
      return { scores, predictions };
    });
  }

  /**
   * A prediction per row: the most probable label in the training data's own words, or a number; of
   * `multi-label-classification` a list of labels, of `token-classification` of tags, of `causal-lm`
   * and `seq2seq` a text, of `embeddings` a `Float32Array`, of `ranking` a score.
   */
  async predict<P = Label>(data: PredictorData, options: PredictOptions = {}): Promise<P[]> {
    check.knownKeys('predict', options, ['writing', 'dimensions', ...READING_KEYS, 'signal']);
    const { task } = this.#fitted('predict');
    const table = await this.#read(data, options);
    return this.#computing(options.signal, async (given) => {
      const tools = withDimensions(given, task, options.dimensions);
      return [...(await task.predict(table, tools, options.writing))] as P[];
    });
  }

  /**
   * A table of texts that were given as they are, for `predict`.
   * @param taskId of an adapter that learnt several tasks
   * @throws PEFT_DATA_INVALID where a row has several text columns; PEFT_TASK_ID_…
   */
  rowsOfTexts(texts: readonly string[], taskId?: number): Table {
    return rowsOfTexts(this.#fitted('rowsOfTexts').task, texts, taskId);
  }

  /**
   * Probabilities of each row in the order of `classLabels`, or, with `asMulticlass: false` for two
   * classes, of the positive class.
   * @throws PEFT_PROBLEM_TYPE for numbers
   */
  predictProba(
    data: PredictorData,
    options: ProbabilityOptions & { readonly asMulticlass: false },
  ): Promise<number[]>;
  predictProba(
    data: PredictorData,
    options?: ProbabilityOptions & { readonly asMulticlass?: true },
  ): Promise<Float64Array[]>;
  async predictProba(
    data: PredictorData,
    options: ProbabilityOptions = {},
  ): Promise<Float64Array[] | number[]> {
    check.knownKeys('predictProba', options, ['asMulticlass', ...READING_KEYS, 'signal']);
    const { task } = this.#fitted('predictProba');
    const { probabilities, shown } = requireProbabilities(task, options.asMulticlass);
    const table = await this.#read(data, options);
    const rows = await this.#computing(options.signal, (tools) => probabilities(table, tools));
    return rows.map(shown) as Float64Array[] | number[];
  }

  /**
   * What the head reads of each row: the hidden state of its first token (or the mean over tokens)
   * `[rows][D]`.
   * @throws PEFT_PROBLEM_TYPE for tasks without such
   */
  async extractEmbedding(data: PredictorData, options: ReadOptions = {}): Promise<Float32Array[]> {
    check.knownKeys('extractEmbedding', options, [...READING_KEYS, 'signal']);
    const embed = embedderOf(this.#fitted('extractEmbedding').task);
    const table = await this.#read(data, options);
    return this.#computing(options.signal, async (tools) => [...(await embed(table, tools))]);
  }

  /**
   * Documents by how well they answer a query, best first: σ of the logit (pointwise), or the logit.
   * @throws PEFT_PROBLEM_TYPE for tasks other than `ranking`
   */
  async rank(
    query: string,
    documents: readonly string[],
    options: RankOptions = {},
  ): Promise<RankedDocument[]> {
    const ranker = rankerOf(this.#fitted('rank').task, query, documents, options);
    return this.#computing(options.signal, ranker);
  }

  /** Writes the predictor into a folder that is missing or empty. @throws PEFT_FOLDER_NOT_EMPTY */
  async save(path: string, { standalone = true }: SaveOptions = {}): Promise<void> {
    const state = this.#fitted('save');
    await this.#gate.alone(() => writePredictor(path, state, standalone));
  }

  /** How the last fit went. */
  fitSummary(): FitSummary {
    return this.#fitted('fitSummary').summary;
  }

  /** What the trained model predicts, and from what. */
  describe(): PredictorDescription {
    const { name, taskIdColumn } = this.#fitted('describe').task;
    const { label, classLabels, problemType, textColumns } = this;
    return { task: name, label, classLabels, problemType, textColumns, taskIdColumn };
  }

  /** What is learnt; undefined before the labels have told. */
  get task(): TaskName | undefined {
    return this.#state?.task.name ?? this.#options.task;
  }

  /** Column that is predicted, or several that say 0 or 1 of a label each. */
  get label(): string | readonly string[] | undefined {
    return this.#options.label;
  }

  /** Which columns the trained task reads, by role; undefined for classification and regression. */
  get columnRoles(): ColumnRoles | undefined {
    const { record } = this.#fitted('columnRoles').task;
    return 'columns' in record ? record.columns : undefined;
  }

  /** The folder that fits save into, absolute. */
  get path(): string | undefined {
    return this.#options.path === undefined ? undefined : resolve(this.#options.path);
  }

  /** Elements that train. */
  get trainableParameters(): number {
    return this.#fitted('trainableParameters').model.parameterCounts().trainable;
  }

  /** Elements of base model and adapter. */
  get totalParameters(): number {
    return this.#fitted('totalParameters').model.parameterCounts().total;
  }

  /** In units of 10⁶ bytes, 4 bytes an element as AutoGluon counts it. */
  get modelSizeMegabytes(): number {
    return (this.totalParameters * 4) / 1e6;
  }

  /** By class id; undefined for numbers, and for tasks without classes of rows. */
  get classLabels(): readonly Label[] | undefined {
    return this.#fitted('classLabels').task.classes;
  }

  /** The class that binary metrics look at. */
  get positiveClass(): Label | undefined {
    const { problem } = this.#fitted('positiveClass').task;
    return problem?.classes[problem.positiveClass ?? -1];
  }

  /** Of classification and regression. */
  get problemType(): ProblemType | undefined {
    return this.#fitted('problemType').task.problem?.type;
  }

  get evalMetricName(): string {
    return this.#fitted('evalMetricName').metric.name;
  }

  /** Columns that new rows need. */
  get textColumns(): readonly string[] {
    return this.#fitted('textColumns').task.inputs;
  }

  /** Frees model and engine and ends `events$`. */
  dispose(): void {
    if (this.#gate.isDisposed) return;
    this.#gate.dispose();
    if (this.#state) disposeState(this.#state);
    this.#state = undefined;
    this.#app.dispose();
  }

  async #computing<T>(
    signal: AbortSignal | undefined,
    body: (tools: TaskTools) => Promise<T>,
  ): Promise<T> {
    const { model, base, settings, engine } = this.#fitted('predict');
    return this.#gate.alone(async () => {
      await engine.activate();
      const emit = this.#emitter();
      return body({
        model,
        base,
        settings,
        signal,
        tell(report) {
          const warning = rowWarning(report, 'data');
          if (warning) emit(warning);
        },
        warn: (warning) => emit({ type: 'run/warned', ...warning }),
      });
    });
  }

  #emitter(runId: string = randomUUID()): (event: EventBody) => void {
    return (event) => this.#bus.emit({ runId, atMs: this.#app.get(CLOCK).now(), ...event });
  }

  /**
   * The rows that `predict` makes of the data: a file without a header has the training file's
   * columns.
   * @throws PEFT_DATA_INVALID, PEFT_COLUMN_MISSING and what reading throws
   */
  readRows(data: PredictorData, options: ReadOptions = {}): Promise<Table> {
    return this.#read(data, options);
  }

  async #read(data: PredictorData, options: ReadOptions): Promise<Table> {
    const { task, fileColumns, model } = this.#fitted('predict');
    const table = await readNewData(data, { textColumns: task.inputs, fileColumns }, options);
    checkModelTasks(task, [table], model);
    const emit = this.#emitter();
    for (const warning of table.warnings ?? []) emit({ type: 'run/warned', ...warning });
    return table;
  }

  #fitted(what: string): PredictorState {
    this.#gate.refuseDisposed();
    if (this.#state) return this.#state;
    throw new PeftError('PEFT_PREDICTOR_NOT_FITTED', `predictor: ${what} needs a trained model.`, {
      hint: 'call fit first, or PeftPredictor.load',
    });
  }
}
