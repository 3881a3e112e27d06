/**
 * The memory plan of a training run: what the process holds at its peak, before anything is loaded.
 *
 * peak = runtime + weights + adapters + gradients + optimiser state + max(activations, evaluation,
 * update), where activations are what lives in one micro-batch's forward and backward pass
 * (`measure-step.ts` runs them without values), evaluation the same of a forward pass alone, and
 * update is what the optimiser's step needs for the largest parameter while no activation lives.
 * Activations are float32, whatever the precision of the products. With a GPU there are two such
 * sums, one for the card and one for the process: see `gpu-plan.ts`.
 */
import {
  convertedWeights,
  quantizableWeights,
  sharedMatrices,
  type Architecture,
  type HeadOptions,
  type MethodSpec,
  type WeightQuantization,
} from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { storedForm, type StoredForm } from '@peft/hub';
import { STORED_BYTES, type EngineSizing } from '@peft/ops';
import { adamw, stateBytes, type Optimizer } from '@peft/optim';
import { gpuPlan, type GpuPlan, type LoadingBytes, type PlannedGpu } from './gpu-plan.js';
import { plannedShards, type PlannedShards } from './planned-shards.js';
import { machineMemory, type MachineMemory } from './machine-memory.js';
import {
  sizeModel,
  type Checkpointing,
  type MeasuredModel,
  type PlannedBatch,
  type PlannedStage,
  type PlannedTask,
} from '../sizing/measure-step.js';
import type { PlannedDtype } from '../sizing/sizes-store.js';

/** How a run uses memory, beside its model. */
export interface RunSettings {
  /** One micro-batch: what is in memory at once. Default: 1 sequence of 128 tokens. */
  readonly batch?: PlannedBatch;
  /** What is computed at once without gradients, when the run is scored. Default: nothing. */
  readonly evaluationBatch?: PlannedBatch;
  /**
   * How many sums of gradients live at once: more than one where a step has several micro-batches
   * (`gradientCopies` of `@peft/trainer`). Default 1.
   */
  readonly gradientSums?: number;
  /** Blocks that keep only their inputs. Default none. */
  readonly checkpointing?: Checkpointing;
  /** Default AdamW. */
  readonly optimizer?: Optimizer;
  /**
   * Bytes of optimiser state that stay in memory (on the GPU, where the state is there); the rest
   * lies in a file (in the machine's memory). Default: all.
   */
  readonly residentStateBytes?: number;
  /** Quantise the base while loading. */
  readonly quantization?: WeightQuantization;
}

/** The run whose memory is planned. */
export interface PlanRequest extends RunSettings {
  readonly architecture: Architecture<never> | Architecture<unknown>;
  /** The parsed config.json; no weights are needed. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Default `{ kind: 'none' }`. */
  readonly head?: HeadOptions;
  /** What trains; without one the model only runs. */
  readonly method?: MethodSpec;
  /**
   * Type of the checkpoint's tensors. Default: config.json's `dtype` or `torch_dtype`, else
   * float32.
   */
  readonly storedDtype?: PlannedDtype;
  /**
   * What the linear maps of a checkpoint become that is quantised already. Default: what config.json's
   * `quantization_config` says.
   */
  readonly storedQuantization?: StoredForm;
  /**
   * What the engine holds, as it says itself: `nativeSizing` of `@peft/native`, `engine.sizing` of
   * one that runs, `sizing` of a definition.
   */
  readonly engine: EngineSizing;
  /**
   * The card that the engine computes on: the model then lies there. Default: none, it computes in
   * the machine's memory.
   */
  readonly gpu?: PlannedGpu;
  /**
   * Where the optimiser keeps its state. Default `host`; `device` is the GPU, where there is one.
   */
  readonly optimizerStateOn?: 'host' | 'device';
  readonly task?: PlannedTask;
  /**
   * Ranks that share the matrices of the blocks: each keeps its part, and has a block whole while it
   * computes. Default: this one has all of them.
   */
  readonly shardRanks?: number | undefined;
  /** The stage that is planned, where a model is cut into several (`cutStages`). Default: all. */
  readonly stage?: PlannedStage;
  /**
   * Micro-batches that may be taken instead, smallest first. Default: fewer sequences of the same
   * length.
   */
  readonly smallerBatches?: readonly Pick<
    RunSettings,
    'batch' | 'evaluationBatch' | 'gradientSums'
  >[];
  /**
   * Whether the weights lie in files, which some engines map where they stay as they are. Default
   * true.
   */
  readonly hasFiles?: boolean;
  /**
   * What the process takes without model and run. Default: what a fresh process with the engine
   * loaded was measured to take.
   */
  readonly runtimeBytes?: number;
  /** Default: this machine's. */
  readonly machine?: MachineMemory;
}

/** Bytes of each part. JSON-safe. */
export interface MemoryPlan {
  readonly modelType: string;
  readonly parameters: number;
  readonly trainableParameters: number;
  readonly weightBytes: number;
  /** Where ranks share the blocks. */
  readonly shards?: PlannedShards | undefined;
  readonly adapterBytes: number;
  readonly gradientBytes: number;
  readonly optimizerStateBytes: number;
  /**
   * In a page file, where the state is paged; in the machine's memory, where the rest is on a GPU.
   */
  readonly pagedStateBytes: number;
  readonly activationBytes: number;
  /** Tensors that the operations of one micro-batch make, forward and backward. */
  readonly operations: number;
  /** Of a forward pass without gradients, when the run is scored. */
  readonly evaluationBytes: number;
  /** What an optimiser step needs beside its state. */
  readonly updateBytes: number;
  /** Node, the libraries and the engine's own scratch memory. */
  readonly runtimeBytes: number;
  /** While the weights are read: those that are there, and one tensor more. */
  readonly loadingPeakBytes: number;
  /** Of the process, in the machine's memory. */
  readonly peakBytes: number;
  readonly machine: MachineMemory;
  /** What lies on the GPU, where one computes. */
  readonly gpu?: GpuPlan;
  /**
   * Whether the peak stays below what the machine has to give, and that of the GPU below what the
   * card has.
   */
  readonly fits: boolean;
}

const DTYPES: Readonly<Record<string, PlannedDtype>> = {
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
};

/** A model whose plans are made: several settings share what does not depend on them. */
export interface Planner {
  readonly blocks: number;
  /** Whether the checkpoint's linear maps stay quantised in memory. */
  readonly isStoredQuantized: boolean;
  plan(settings: RunSettings): MemoryPlan;
  /** The model as it is sized. */
  model(quantization: WeightQuantization | undefined): MeasuredModel;
  dispose(): void;
}

/**
 * Plans one run.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_MODEL_CONFIG, PEFT_MODEL_HEAD, PEFT_TARGET_NOT_FOUND and what
 *   else describing model and method throws
 * @example
 *   const plan = planMemory({
 *     architecture: llama,
 *     config,
 *     head: { kind: 'causal-lm' },
 *     method: lora(),
 *     batch: { sequences: 4, length: 512 },
 *   });
 *   console.log(formatPlan(plan));
 */
export function planMemory(request: PlanRequest): MemoryPlan {
  const planner = createPlanner(request);
  try {
    return planner.plan(request);
  } finally {
    planner.dispose();
  }
}

/** Settings in the request are left out of account: they come with each plan. */
export function createPlanner(request: Omit<PlanRequest, keyof RunSettings>): Planner {
  const {
    architecture,
    config,
    head = { kind: 'none' },
    method,
    engine,
    storedQuantization = storedForm(config['quantization_config']),
    task,
    stage,
    shardRanks,
    machine = machineMemory(),
    hasFiles = true,
    gpu,
    optimizerStateOn = 'host',
    runtimeBytes = gpu && engine.card ? engine.card.hostRuntimeBytes : engine.runtimeBytes,
  } = request;
  if (gpu && !engine.card)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `memory plan: gpu is given, and the ${engine.name} engine computes on the CPU.`,
      { hint: 'leave gpu out, or take the sizing of an engine on a card' },
    );
  check.oneOf('memory plan', 'optimizerStateOn', optimizerStateOn, ['host', 'device']);
  const storedDtype =
    request.storedDtype ?? DTYPES[String(config['dtype'] ?? config['torch_dtype'])] ?? 'F32';
  const models = new Map<string, MeasuredModel>();
  const modelFor = (quantization: WeightQuantization | undefined): MeasuredModel => {
    const key = JSON.stringify(quantization ?? null);
    const found =
      models.get(key) ??
      sizeModel({
        architecture,
        config,
        head,
        storedDtype,
        engine,
        method,
        quantization,
        storedQuantization,
        task,
        stage,
      });
    models.set(key, found);
    return found;
  };
  const { description } = modelFor(undefined);
  return {
    isStoredQuantized: storedQuantization !== undefined && storedQuantization.format !== 'bf16',
    blocks: description.layers.encoder + description.layers.decoder,
    model: modelFor,
    plan: (settings) =>
      planFor(modelFor(settings.quantization), settings, {
        engine,
        storedDtype,
        storedQuantization,
        machine,
        hasFiles,
        runtimeBytes,
        gpu,
        optimizerStateOn,
        shardRanks,
      }),
    dispose: () => {
      for (const model of models.values()) model.dispose();
      models.clear();
    },
  };
}

interface Fixed {
  readonly engine: EngineSizing;
  readonly storedDtype: PlannedDtype;
  readonly storedQuantization: StoredForm | undefined;
  readonly machine: MachineMemory;
  readonly hasFiles: boolean;
  readonly runtimeBytes: number;
  readonly gpu: PlannedGpu | undefined;
  readonly optimizerStateOn: 'host' | 'device';
  readonly shardRanks: number | undefined;
}

function planFor(model: MeasuredModel, settings: RunSettings, fixed: Fixed): MemoryPlan {
  const { machine, runtimeBytes } = fixed;
  const {
    batch = { sequences: 1, length: 128 },
    checkpointing = false,
    optimizer = adamw(),
    residentStateBytes = Infinity,
    gradientSums = 1,
  } = settings;
  check.positiveInteger('memory plan', 'batch.sequences', batch.sequences);
  check.positiveInteger('memory plan', 'batch.length', batch.length);
  check.positiveInteger('memory plan', 'gradientSums', gradientSums);
  const { description, trainables, adapterBytes } = model;
  const { peakBytes: activationBytes, operations } = model.measure(batch, checkpointing);
  const evaluationBytes = settings.evaluationBatch
    ? model.measureForward(settings.evaluationBatch).peakBytes
    : 0;
  const shards =
    fixed.shardRanks === undefined ? undefined : plannedShards(model, fixed.shardRanks);
  const weights = model.weightBytes() - (shards ? shards.sharedBytes - shards.heldBytes : 0);
  const sizes = trainables.map(({ shape }) => shape.reduce((product, size) => product * size, 1));
  const trainable = sizes.reduce((sum, size) => sum + size, 0);
  const state = stateBytes(
    optimizer,
    trainables.map(({ shape }) => shape),
  );
  // pages that leave the device stay where they are
  const hasOneMemory = fixed.optimizerStateOn === 'device' && !fixed.gpu;
  const optimizerStateBytes = hasOneMemory ? state : Math.min(state, residentStateBytes);
  // a parameter's values are read, changed, and written anew
  const updateBytes = 2 * 4 * sizes.reduce((largest, size) => Math.max(largest, size), 0);
  const gradientBytes = gradientSums * 4 * trainable;
  const parts = {
    weightBytes: weights,
    shards,
    adapterBytes,
    gradientBytes,
    optimizerStateBytes,
    pagedStateBytes: state - optimizerStateBytes,
    activationBytes,
    evaluationBytes,
    updateBytes,
  };
  const loading = loadingBytes(model, settings.quantization, fixed, shards);
  const plan = {
    modelType: description.modelType,
    parameters: model.parameters,
    trainableParameters: trainable,
    ...parts,
    operations,
    runtimeBytes,
    machine,
  };
  if (fixed.gpu) {
    const { peakBytes, loadingPeakBytes, gpu } = gpuPlan(fixed.gpu, fixed.engine.card!, {
      ...parts,
      runtimeBytes,
      loadingBytes: loading,
      optimizerStateOn: fixed.optimizerStateOn,
    });
    return {
      ...plan,
      loadingPeakBytes,
      peakBytes,
      gpu,
      fits: peakBytes <= machine.usableBytes && gpu.fits,
    };
  }
  const loadingPeakBytes = runtimeBytes + loading.most;
  const held = runtimeBytes + weights + adapterBytes + gradientBytes + optimizerStateBytes;
  const peakBytes = Math.max(
    held + Math.max(activationBytes, evaluationBytes, updateBytes),
    loadingPeakBytes,
  );
  return { ...plan, loadingPeakBytes, peakBytes, fits: peakBytes <= machine.usableBytes };
}

/**
 * The most that lives while the weights come one by one: those that are there and the one that is
 * read or decoded, unless the engine maps it from its file.
 */
function loadingBytes(
  { description, weightBytesOf, isQuantized }: MeasuredModel,
  quantization: WeightQuantization | undefined,
  { storedDtype, storedQuantization, engine, hasFiles }: Fixed,
  shards: PlannedShards | undefined,
): LoadingBytes {
  const shared = shards ? sharedMatrices(description) : undefined;
  const changed = quantization ? convertedWeights(description, quantization) : undefined;
  const decoded =
    storedQuantization?.format === 'bf16'
      ? quantizableWeights(description, storedQuantization.skipModules)
      : undefined;
  let [there, most, largest, packed] = [0, 0, 0, 0];
  for (const { name, use, shape } of description.parameters) {
    const isShared = shared?.has(name) ?? false;
    there += isShared ? weightBytesOf(name) / shards!.ranks : weightBytesOf(name);
    if (isQuantized(name)) packed += weightBytesOf(name);
    const isDecoded = decoded?.has(name) ?? false;
    const passes =
      use !== 'vector' &&
      (!engine.mapsFiles || !hasFiles || isDecoded || isShared || changed?.has(name));
    const bytes = passes
      ? shape.reduce(
          (product, size) => product * size,
          STORED_BYTES[isDecoded ? 'BF16' : storedDtype],
        )
      : 0;
    [most, largest] = [Math.max(most, there + bytes), Math.max(largest, bytes)];
  }
  // a block is cut when all of it was read
  return { most: most + (shards?.largestBlockBytes ?? 0), largest, packed };
}
