/** Data in, model out: the class that applications and the command line use. */
import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import { compose, override, type App, type ModelBatch, type TrainEvent, type TrainEventBus } from '@peft/core';
import { getMetric, type Label, type Metric, type ProblemType, type Table } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import { CLOCK, EVENT_BUS, predict, tableData, type Task } from '@peft/trainer';
import type { EventBody } from './base-model.js';
import { fitPredictor } from './fit-predictor.js';
import { readPredictor } from './load-predictor.js';
import { checkOutputFolder, CHECKPOINT_FOLDER, finishPredictor, writePredictor } from './predictor-folder.js';
import { CHECKPOINT_STORES, PREDICTOR_METRICS, predictorModule } from './predictor-module.js';
import { disposeState, type PredictorState } from './predictor-state.js';
import type { EvaluateOptions, FitOptions, FitSummary, LoadOptions, PredictorData, PredictorOptions, ProbabilityOptions, ReadOptions, SaveOptions, ScoredPredictions, Scores } from './predictor-types.js';
import { checkMetric, labelsOf, type RowPrediction } from './problem.js';
import { readNewData } from './read-data.js';
import { runSizes } from './run-plan.js';
import { tokenizeRows } from './text-columns.js';

const FIT_KEYS: readonly (keyof FitOptions)[] = ['presets', 'hyperparameters', 'tuningData', 'holdoutFraction', 'columns', 'header', 'textColumns', 'columnTypes', 'sample', 'timeLimitSeconds', 'seed', 'resume', 'standalone', 'signal', 'method'];
const PREDICTOR_KEYS: readonly (keyof PredictorOptions)[] = ['label', 'path', 'problemType', 'evalMetric', 'presets', 'hyperparameters', 'modules', 'onListenerError'];

/**
 * Fine-tunes a text model on a table and predicts with it, in the manner of AutoGluon's MultiModalPredictor.
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
  #isBusy = false;
  #isDisposed = false;

  /** @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY */
  constructor(options: PredictorOptions) {
    check.knownKeys('PeftPredictor', options, PREDICTOR_KEYS);
    check.string('PeftPredictor', 'label', options.label);
    this.#options = options;
    this.#app = compose(predictorModule(options.onListenerError), ...(options.modules ?? []).map(override));
    this.#bus = this.#app.get(EVENT_BUS);
  }

  /**
   * Reads a folder that `fit` or `save` wrote, treating it as hostile input.
   * @throws PEFT_PREDICTOR_MISSING, PEFT_PREDICTOR_INVALID, PEFT_ADAPTER_MISMATCH, and what reading models and adapters throws
   */
  static async load(path: string, options: LoadOptions = {}): Promise<PeftPredictor> {
    check.knownKeys('PeftPredictor.load', options, ['engine', 'precision', 'threads', 'baseModel', 'signal', 'onEvent', 'modules', 'onListenerError']);
    const { modules, onListenerError, onEvent } = options;
    const parts = { ...(modules && { modules }), ...(onListenerError && { onListenerError }) };
    const predictor = new PeftPredictor({ label: 'unknown until it is read', ...parts });
    if (onEvent) predictor.listen(onEvent);
    try {
      const { label, state } = await readPredictor(path, predictor.#app, predictor.#emitter(), options);
      predictor.#options = { label, path, ...parts };
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
   * With a `path` the predictor is saved there at the end; checkpoints lie in `<path>/checkpoints` meanwhile.
   * @returns this predictor.
   * @throws PEFT_FOLDER_NOT_EMPTY, PEFT_RUN_COMPLETE; PEFT_RUN_ABORTED after the signal; the errors of data, settings, model and
   * training. After bad input nothing is left behind.
   */
  async fit(train: PredictorData, options: FitOptions = {}): Promise<this> {
    check.knownKeys('fit', options, FIT_KEYS);
    return this.#alone(async () => {
      const { path, label } = this.#options;
      const startedAtMs = this.#app.get(CLOCK).now();
      if (path !== undefined) await checkOutputFolder(path, { resume: options.resume ?? false, owner: this.#isSaved });
      const runId = randomUUID();
      const store = this.#app.get(CHECKPOINT_STORES)(path === undefined ? undefined : join(path, CHECKPOINT_FOLDER));
      await this.#state?.engine.activate();
      const state = await fitPredictor({ app: this.#app, predictor: this.#options, data: train, options, previous: this.#state, store, runId, startedAtMs, emit: this.#emitter(runId) });
      this.#state = state;
      if (path !== undefined) {
        await finishPredictor(path, state, label, options.standalone ?? true);
        this.#isSaved = true;
      }
      return this;
    });
  }

  /**
   * Scores new rows by the predictor's metric, or others.
   * @throws PEFT_LABEL_UNKNOWN for a label that training did not have, PEFT_COLUMN_MISSING, PEFT_METRIC_UNKNOWN, PEFT_METRIC_UNDEFINED
   */
  evaluate(data: PredictorData, options: EvaluateOptions & { readonly returnPredictions: true }): Promise<ScoredPredictions>;
  evaluate(data: PredictorData, options?: EvaluateOptions & { readonly returnPredictions?: false }): Promise<Scores>;
  async evaluate(data: PredictorData, options: EvaluateOptions = {}): Promise<Scores | ScoredPredictions> {
    check.knownKeys('evaluate', options, ['metrics', 'returnPredictions', 'columns', 'header', 'signal']);
    const { problem } = this.#fitted('evaluate');
    const named = [options.metrics ?? this.#fitted('evaluate').metric].flat().map((metric) => this.#metric(metric));
    const table = await this.#read(data, options);
    const labels = labelsOf(table.column(this.#options.label), this.#options.label, table.source);
    problem.encode(labels);
    for (const { metric } of named) checkMetric(metric, problem, labels);
    const rows = await this.#run(table, options.signal);
    const scores = Object.fromEntries(named.map(({ name, metric }) => [name, problem.scorer([metric], labels)(rows)[metric.name]!]));
    return options.returnPredictions ? { scores, predictions: rows.map((row) => problem.decode(row)) } : scores;
  }

  /** The label of each row: the most probable class in the training data's own words, or a number. */
  async predict(data: PredictorData, options: ReadOptions = {}): Promise<Label[]> {
    check.knownKeys('predict', options, ['columns', 'header', 'signal']);
    const rows = await this.#run(await this.#read(data, options), options.signal);
    return rows.map((row) => this.#fitted('predict').problem.decode(row));
  }

  /**
   * Probabilities of each row in the order of `classLabels`, or, with `asMulticlass: false` for two classes, of the positive class.
   * @throws PEFT_PROBLEM_TYPE for numbers
   */
  predictProba(data: PredictorData, options: ProbabilityOptions & { readonly asMulticlass: false }): Promise<number[]>;
  predictProba(data: PredictorData, options?: ProbabilityOptions & { readonly asMulticlass?: true }): Promise<Float64Array[]>;
  async predictProba(data: PredictorData, options: ProbabilityOptions = {}): Promise<Float64Array[] | number[]> {
    check.knownKeys('predictProba', options, ['asMulticlass', 'columns', 'header', 'signal']);
    const { problem } = this.#fitted('predictProba');
    if (problem.type === 'regression') throw new PeftError('PEFT_PROBLEM_TYPE', 'predictor: a regression predicts numbers, which have no probabilities.', { hint: 'use predict' });
    const { positiveClass } = problem;
    if (options.asMulticlass === false && positiveClass === undefined) throw new PeftError('PEFT_PROBLEM_TYPE', `predictor: asMulticlass: false needs two classes or a positive one, there are ${problem.classes.length}.`, { hint: 'leave it out, or set data.pos_label' });
    const rows = (await this.#run(await this.#read(data, options), options.signal)) as Float64Array[];
    return options.asMulticlass === false ? rows.map((row) => row[positiveClass!]!) : rows;
  }

  /** What the head reads of each row: the hidden state of its first token (or the mean over tokens) `[rows][D]`. */
  async extractEmbedding(data: PredictorData, options: ReadOptions = {}): Promise<Float32Array[]> {
    check.knownKeys('extractEmbedding', options, ['columns', 'header', 'signal']);
    return this.#run(await this.#read(data, options), options.signal, EMBEDDING);
  }

  /** Writes the predictor into a folder that is missing or empty. @throws PEFT_FOLDER_NOT_EMPTY */
  async save(path: string, { standalone = true }: SaveOptions = {}): Promise<void> {
    const state = this.#fitted('save');
    await this.#alone(() => writePredictor(path, state, this.#options.label, standalone));
  }

  /** How the last fit went. */
  fitSummary(): FitSummary {
    return this.#fitted('fitSummary').summary;
  }

  get label(): string {
    return this.#options.label;
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

  /** By class id; undefined for numbers. */
  get classLabels(): readonly Label[] | undefined {
    const { problem } = this.#fitted('classLabels');
    return problem.type === 'regression' ? undefined : problem.classes;
  }

  /** The class that binary metrics look at. */
  get positiveClass(): Label | undefined {
    const { problem } = this.#fitted('positiveClass');
    return problem.positiveClass === undefined ? undefined : problem.classes[problem.positiveClass];
  }

  get problemType(): ProblemType {
    return this.#fitted('problemType').problem.type;
  }

  get evalMetricName(): string {
    return this.#fitted('evalMetricName').metric.name;
  }

  /** Columns that are learnt from. */
  get textColumns(): readonly string[] {
    return this.#fitted('textColumns').texts.columns;
  }

  /** Frees model and engine and ends `events$`. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    if (this.#state) disposeState(this.#state);
    this.#state = undefined;
    this.#app.dispose();
  }

  async #run<P = RowPrediction>(table: Table, signal: AbortSignal | undefined, task?: Task<never, P>): Promise<P[]> {
    const { model, engine, base, texts, problem, settings } = this.#fitted('predict');
    return this.#alone(async () => {
      await engine.activate();
      const tokens = await tokenizeRows(table, texts, base.tokenizer, signal);
      const chosen = task ?? (problem.task({ labelSmoothing: 0 }) as unknown as Task<never, P>);
      const { predictions } = await predict(model, chosen, tableData(tokens) as never, { batchSize: runSizes(settings).evaluationBatchSize, ...(signal && { signal }) });
      return [...predictions];
    });
  }

  #emitter(runId: string = randomUUID()): (event: EventBody) => void {
    return (event) => this.#bus.emit({ runId, atMs: this.#app.get(CLOCK).now(), ...event });
  }

  #read(data: PredictorData, options: ReadOptions): Promise<Table> {
    const { texts, fileColumns } = this.#fitted('predict');
    return readNewData(data, { textColumns: texts.columns, fileColumns }, options);
  }

  #metric(metric: string | Metric): { readonly name: string; readonly metric: Metric } {
    return typeof metric === 'string' ? { name: metric, metric: getMetric(metric, this.#app.get(PREDICTOR_METRICS)) } : { name: metric.name, metric };
  }

  #fitted(what: string): PredictorState {
    this.#refuseDisposed();
    if (this.#state) return this.#state;
    throw new PeftError('PEFT_PREDICTOR_NOT_FITTED', `predictor: ${what} needs a trained model.`, { hint: 'call fit first, or PeftPredictor.load' });
  }

  #refuseDisposed(): void {
    if (this.#isDisposed) throw new PeftError('PEFT_PREDICTOR_DISPOSED', 'predictor: it was disposed of.', { hint: 'load it again' });
  }

  /** @throws PEFT_PREDICTOR_BUSY while another call runs */
  async #alone<T>(body: () => Promise<T>): Promise<T> {
    this.#refuseDisposed();
    if (this.#isBusy) throw new PeftError('PEFT_PREDICTOR_BUSY', 'predictor: another call is still running.', { hint: 'await one call before the next' });
    this.#isBusy = true;
    try {
      return await body();
    } finally {
      this.#isBusy = false;
    }
  }
}

/** The pooled hidden state as a prediction. */
const EMBEDDING: Task<never, Float32Array> = Object.freeze({
  name: 'embedding',
  count: ({ offsets }: ModelBatch) => offsets.length - 1,
  loss: () => {
    throw new PeftError('PEFT_TASK_LABELS', 'embedding: it has no loss.');
  },
  predict: ({ pooled }: Parameters<Task['predict']>[0]) => {
    const values = pooled!.dataSync<'float32'>(); // [B, D]: what was asked for
    const width = pooled!.shape[1];
    return Array.from({ length: pooled!.shape[0] }, (_, b) => values.slice(b * width, (b + 1) * width));
  },
});
