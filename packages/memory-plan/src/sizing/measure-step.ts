/**
 * Runs one micro-batch of training, forward and backward, on tensors that have sizes and no values,
 * and says what lived at the most.
 *
 * It is the model's own code, with the adapters' and the tape's, so that whatever an operation
 * saves is counted, of any family and method.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Variable } from '@tensorflow/tfjs';
import {
  describeModel,
  isFirstStage,
  loadWeights,
  Model,
  requireStage,
  runStage,
  type Architecture,
  type HeadOptions,
  type MethodSpec,
  type ModelBatch,
  type ModelDescription,
  type ModelOutput,
  type ModelWeights,
  type OwnedParameter,
  type RunOptions,
  type Stage,
  type WeightQuantization,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import type { StoredForm } from '@peft/hub';
import {
  crossEntropy,
  linearCrossEntropy,
  onBackend,
  recordGradients,
  variableGradients,
  type EngineSizing,
} from '@peft/ops';
import { SizingEngine, type SizingWeight } from './sizing-engine.js';
import { sizesStore, type PlannedDtype } from './sizes-store.js';
import { withoutValues } from './without-values.js';

/**
 * How the model runs and what its loss is, a task of @peft/trainer, say. Without one both fit the
 * head; a task without `forward` runs the model as it is.
 */
export interface PlannedTask {
  forward?(model: Model, batch: ModelBatch, options: RunOptions): ModelOutput;
  loss(output: ModelOutput, batch: ModelBatch): Scalar;
}

/** The model and method whose memory is asked for. */
export interface MeasureRequest {
  readonly architecture: Architecture<never> | Architecture<unknown>;
  /** The parsed config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly head: HeadOptions;
  /** What trains; absent: the model only runs. */
  readonly method?: MethodSpec;
  /** Type of an ordinary checkpoint's tensors. */
  readonly storedDtype: PlannedDtype;
  /** Quantised while loading. */
  readonly quantization?: WeightQuantization;
  /** The checkpoint's own quantisation. */
  readonly storedQuantization?: StoredForm;
  /** What the engine holds. */
  readonly engine: EngineSizing;
  readonly task?: PlannedTask;
  /** Only these blocks are here. */
  readonly stage?: PlannedStage;
}

/** A stage of a model, the others being on other ranks. */
export interface PlannedStage extends Stage {
  /** Micro-batches whose forward pass is done and whose backward pass is not, at the most. */
  readonly inFlight: number;
}

/** One micro-batch. */
export interface PlannedBatch {
  readonly sequences: number;
  /** Tokens of each. */
  readonly length: number;
  /** Tokens of each sequence of an encoder-decoder's decoder. Default: `length`. */
  readonly decoderLength?: number;
  /** The batch itself, with what the task's loss reads; the sizes above then only name it. */
  readonly packed?: ModelBatch;
}

/** Which blocks are computed again in the backward pass: all, none, or those of these numbers. */
export type Checkpointing = boolean | ReadonlySet<number>;

/** What one micro-batch takes. */
export interface MeasuredStep {
  readonly peakBytes: number;
  /** Tensors that its operations make: each operation costs time, whatever its size. */
  readonly operations: number;
}

/** A model's memory, known from its description without a weight being read. */
export interface MeasuredModel {
  readonly description: ModelDescription;
  readonly trainables: readonly OwnedParameter[];
  /** Values of the base and of what trains. */
  readonly parameters: number;
  /** Of the base, as the engine keeps it once it ran. */
  weightBytes(): number;
  /** 0 for what lies on another stage. */
  weightBytesOf(name: string): number;
  isQuantized(name: string): boolean;
  /** What the adapter added or copied, float32. */
  readonly adapterBytes: number;
  /**
   * The most that lives at once beside weights and adapters, in one micro-batch; tables that the
   * model keeps are in it.
   */
  measure(batch: PlannedBatch, checkpointing: Checkpointing): MeasuredStep;
  /** The same of a forward pass without gradients. */
  measureForward(batch: PlannedBatch): MeasuredStep;
  dispose(): void;
}

/**
 * Makes the model without values. The current tfjs backend stays what it is.
 * @throws what describing the model and attaching the method throw
 */
export function sizeModel(request: MeasureRequest): MeasuredModel {
  const engine = new SizingEngine(request.engine);
  return onBackend(engine.backendName, () => {
    const parsed = request.architecture.parseConfig(request.config);
    const description = describeModel(request.architecture, parsed, request.head);
    const { stage } = request;
    if (stage) requireStage(description, stage);
    const store = sizesStore(description, request.storedDtype, request.storedQuantization);
    const weights = loadWeights(description, store, engine, {
      quantization: request.quantization,
      stage,
      reopen: () => store,
    });
    const model = new Model(
      request.architecture,
      parsed,
      request.config,
      description,
      weights,
      engine,
      [],
      stage,
    );
    const afterWeights = engine.backend.livingBytes;
    try {
      const adapter =
        request.method &&
        model.addAdapter('plan', withoutValues(request.method), { strict: false });
      const beforeRuns = engine.backend.livingBytes;
      const measured = new Map<string, MeasuredStep>();
      const remembered = (
        { sequences, length, decoderLength, packed }: PlannedBatch,
        what: unknown,
        run: () => MeasuredStep,
      ): MeasuredStep => {
        const key = JSON.stringify([
          sequences,
          length,
          decoderLength,
          // what sequences have in common may be computed once
          packed && [[...packed.offsets], [...packed.inputIds]],
          what,
        ]);
        const known = measured.get(key);
        if (known) return known;
        const { peakBytes, operations } = onBackend(engine.backendName, run);
        const step = { peakBytes: peakBytes - beforeRuns, operations };
        measured.set(key, step);
        return step;
      };
      const replaced = [...(adapter?.replaced.values() ?? [])].reduce(
        (sum, weight) => sum + (weight as SizingWeight).residentBytes,
        0,
      );
      return {
        description: model.description,
        trainables: model.trainables(),
        parameters: model.parameterCounts().total,
        adapterBytes: beforeRuns - afterWeights + replaced,
        weightBytes: () =>
          description.parameters.reduce((sum, { name }) => sum + bytesIn(weights, name), 0),
        weightBytesOf: (name) => bytesIn(weights, name),
        isQuantized: (name) => {
          const weight = weights.holds!(name) ? weights.get(name) : undefined;
          return weight !== undefined && 'engine' in weight && (weight as SizingWeight).isQuantized;
        },
        measure: (batch, checkpointing) =>
          remembered(
            batch,
            typeof checkpointing === 'boolean' ? checkpointing : [...checkpointing],
            () => measure(model, engine, request, batch, checkpointing),
          ),
        measureForward: (batch) =>
          remembered(batch, 'forward', () => measureForward(model, engine, request, batch)),
        dispose: () => onBackend(engine.backendName, () => model.dispose()),
      };
    } catch (error) {
      model.dispose();
      throw error;
    }
  });
}

function bytesIn(weights: ModelWeights, name: string): number {
  if (!weights.holds!(name)) return 0;
  const weight = weights.get(name);
  return 'engine' in weight ? (weight as SizingWeight).residentBytes : weight.size * 4;
}

function measure(
  model: Model,
  engine: SizingEngine,
  request: MeasureRequest,
  planned: PlannedBatch,
  checkpointing: Checkpointing,
): MeasuredStep {
  const variables = model.trainables().map(({ value }) => value);
  if (variables.length === 0) return measureForward(model, engine, request, planned);
  const { stage } = request;
  const run = lossOf(model, request, planned, { training: true, checkpointing });
  return peakOf(engine, () =>
    stage ? differentiateStage(run, stage, variables) : differentiate(run, variables),
  );
}

function measureForward(
  model: Model,
  engine: SizingEngine,
  request: MeasureRequest,
  planned: PlannedBatch,
): MeasuredStep {
  const run = lossOf(model, request, planned, {});
  return peakOf(engine, () => tf.tidy(() => void runStage(() => run(stageInput(request.stage)))));
}

/** What a later stage begins with, of the size that its blocks read. */
const stageInput = (stage: PlannedStage | undefined): RunOptions['stageInput'] =>
  stage && !isFirstStage(stage) ? (rows, width) => tf.zeros<tf.Rank.R2>([rows, width]) : undefined;

/** As a stage does it: forward passes ahead, then the backward pass of the first of them. */
function differentiateStage(
  run: (input: RunOptions['stageInput']) => Scalar,
  stage: PlannedStage,
  variables: Variable[],
): void {
  const state = stateOf(run, stage);
  tf.tidy(() => {
    const [first, ...ahead] = Array.from({ length: stage.inFlight }, () => {
      const input = state && tf.zeros<tf.Rank.R2>(state);
      return recordGradients<tf.Tensor>(() => {
        const result = runStage(() => run(input));
        return result.kind === 'state' ? result.state : result.output;
      }, [...variables, ...(input ? [input] : [])]);
    });
    first!.gradients();
    for (const recorded of ahead) recorded.dispose();
  });
}

/** Rows and width of the state that a stage begins with; undefined for the first one. */
function stateOf(
  run: (input: RunOptions['stageInput']) => Scalar,
  stage: PlannedStage,
): [rows: number, width: number] | undefined {
  const make = stageInput(stage);
  let size: [number, number] | undefined;
  tf.tidy(() => {
    if (typeof make === 'function')
      void runStage(() =>
        run((...shape) => {
          size = shape;
          return make(...shape);
        }),
      );
  });
  return size;
}

function lossOf(
  model: Model,
  { task, head }: MeasureRequest,
  planned: PlannedBatch,
  options: RunOptions,
): (input?: RunOptions['stageInput']) => Scalar {
  const batch = planned.packed ?? batchOf(model.description, planned);
  const forward =
    task?.forward ??
    (task
      ? (each: Model, packed: ModelBatch, given: RunOptions) => each.forward(packed, given)
      : defaultForward(head));
  const loss = task?.loss ?? defaultLoss;
  return (input) =>
    loss.call(task, forward.call(task, model, batch, { ...options, stageInput: input }), batch);
}

function peakOf({ backend }: SizingEngine, run: () => void): MeasuredStep {
  backend.resetPeak();
  run();
  const { peakBytes, operations } = backend;
  backend.resetPeak();
  return { peakBytes, operations };
}

/** As the training loop does it. */
function differentiate(run: () => Scalar, variables: Variable[]): void {
  try {
    const { value, gradients } = tf.tidy(() => variableGradients(run, variables));
    tf.dispose([value, gradients]);
  } catch (cause) {
    if (!(cause instanceof PeftError) || cause.code !== 'PEFT_GRADIENT_NONE') throw cause;
    throw new PeftError(
      'PEFT_TRAIN_NO_GRADIENT',
      'memory plan: the loss depends on none of the trainable parameters.',
      { hint: 'the method may sit on a part of the model that the head does not read', cause },
    );
  }
}

/** Sequences of equal length, with ids that no family treats as padding. */
function batchOf(
  { vocabularySize, head }: ModelDescription,
  { sequences, length, decoderLength = length }: PlannedBatch,
): ModelBatch {
  const side = (tokens: number) => ({
    inputIds: Int32Array.from({ length: sequences * tokens }, (_, n) =>
      Math.min(vocabularySize - 1, 5 + (n % 7)),
    ),
    offsets: Int32Array.from({ length: sequences + 1 }, (_, b) => b * tokens),
  });
  const decoder = head.kind === 'seq2seq-lm' ? side(decoderLength) : undefined;
  return { ...side(length), decoder };
}

/** As the tasks of such a head: a language model's loss takes its logits chunk by chunk. */
const defaultForward =
  (head: HeadOptions) =>
  (model: Model, batch: ModelBatch, options: RunOptions): ModelOutput =>
    model.forward(
      batch,
      isLanguageModel(head)
        ? { ...options, logitRows: 'none' }
        : { ...options, headRowsOnly: head.kind !== 'none' },
    );

const isLanguageModel = ({ kind }: HeadOptions): boolean =>
  kind === 'causal-lm' || kind === 'seq2seq-lm' || kind === 'masked-lm';

function defaultLoss(output: ModelOutput): Scalar {
  const { hidden, outputLayer, logits, logitsOf } = output;
  const labels = (rows: number) => new Int32Array(rows).fill(1);
  if (outputLayer && !logits) {
    const { weight, bias, scale, softCap } = outputLayer;
    return tf.sum(
      linearCrossEntropy(hidden, weight, labels(hidden.shape[0]), {
        scale,
        softCap,
        bias,
      }),
    ) as Scalar;
  }
  const made = logits ?? logitsOf?.(Int32Array.from({ length: hidden.shape[0] }, (_, n) => n));
  return made
    ? tf.sum(
        crossEntropy(
          made,
          labels(made.shape[0]).map((label) => Math.min(label, made.shape[1] - 1)),
        ),
      )
    : tf.sum(tf.square(hidden));
}
