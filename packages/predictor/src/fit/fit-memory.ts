/**
 * What a fit does about memory before anything is loaded: it plans the run, decides what was left
 * to it, and refuses what cannot fit.
 */
import type { App, MethodSpec, Stage, WeightQuantization } from '@peft/core';
import { PeftError } from '@peft/errors';
import {
  chooseSettings,
  cutStages,
  planMemory,
  storedDtypeOf,
  type MachineMemory,
  type MemoryPlan,
  type PlannedStage,
  type PlanRequest,
  type RunSettings,
  type Suggestion,
} from '@peft/memory-plan';
import type { Engine, EngineSizing } from '@peft/ops';
import type { TensorflowEngine } from '@peft/tensorflow';
import { COLLECTIVE, createBatchOrder, gradientCopies, type TrainingData } from '@peft/trainer';
import { describeBase, withStore, type BaseModel, type EventBody } from '../model/base-model.js';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import { overrideHyperparameters } from '../settings/hyperparameters.js';
import { MACHINE_MEMORY, PIPELINE, SHARDED_BASE } from '../predictor-module.js';
import { optimizerOf, runSizes } from './run-plan.js';
import type { PredictorTask } from '../tasks/predictor-task.js';

export interface FitMemory {
  /** With what was left to the plan decided. */
  readonly settings: Hyperparameters;
  /** Blocks that keep only their inputs; absent: as the settings say. */
  readonly checkpointing?: boolean | ReadonlySet<number>;
  /** Absent where nobody knows what a GPU has, or the method cannot be planned. */
  readonly plan?: MemoryPlan;
  /** Where the model is cut; absent where each rank has all of it. */
  readonly stages?: readonly Stage[];
}

interface Parts {
  readonly app: App;
  readonly settings: Hyperparameters;
  readonly base: BaseModel;
  readonly engine: Engine;
  readonly task: PredictorTask;
  /** What trains; without one the run is not planned. */
  readonly spec: MethodSpec | undefined;
  /** The training rows. */
  readonly data: TrainingData;
  readonly isElsewhere: boolean | undefined;
  readonly emit: (event: EventBody) => void;
}

/** What the tensorflow engine may be asked; others' engines of that name may not be. */
type WithDevice = Engine & Partial<Pick<TensorflowEngine, 'device' | 'memory'>>;

/**
 * What a process that trains takes beside what it had before: compiled code, scratch memory of the
 * kernels, small tensors' memory that rests, bookkeeping.
 */
const GROWTH_BYTES = 150e6;
/**
 * What CUDA takes of a card at the first products, beside what it has by then. Assumed: no card was
 * measured.
 */
const GPU_GROWTH_BYTES = 0.3e9;
/** Epochs whose longest micro-batch is looked for. */
const EPOCHS_SEEN = 2;

/**
 * Plans a fit with its own longest micro-batch.
 * @throws PEFT_MEMORY_INSUFFICIENT with the plan, when it cannot fit with what the settings leave
 *   open
 */
export async function planFit(parts: Parts): Promise<FitMemory> {
  const { settings, engine, emit } = parts;
  const unplanned = (reason: string, hint = 'the run goes on without'): FitMemory => {
    emit({
      type: 'run/warned',
      code: 'PEFT_MEMORY_UNPLANNED',
      message: `the memory of this run was not planned: ${reason}`,
      hint,
    });
    return { settings: decided(settings), ...evenStages(parts) };
  };
  const { sizing } = engine;
  if (!sizing) return unplanned(`what the engine ${engine.name} takes is not known`);
  if (!parts.spec)
    return unplanned('what it trains is known once the given adapter is on the model');
  const whole = await requestOf(parts, sizing);
  if (!whole) return unplanned('nvidia-smi does not say what the card has');
  let request = whole;
  try {
    const { stages } = parts.app.get(PIPELINE);
    const cut = stages > 1 ? cutStages({ ...whole, stages }) : undefined;
    if (cut) request = { ...whole, stage: heaviest(whole, cut) };
    const chosen = chooseSettings(request, { allowed: leftOpen(settings) });
    const { plan, applied } = chosen;
    emit({
      type: 'memory/planned',
      peakBytes: plan.peakBytes,
      usableBytes: plan.machine.usableBytes,
      changes: applied.map(({ text }) => text),
      gpu: plan.gpu && {
        name: plan.gpu.name,
        peakBytes: plan.gpu.peakBytes,
        usableBytes: plan.gpu.memory.usableBytes,
      },
    });
    return {
      settings: decided(settings, chosen.settings),
      plan,
      checkpointing:
        settings['model.hf_text.gradient_checkpointing'] === 'auto'
          ? (chosen.settings.checkpointing ?? false)
          : undefined,
      stages: cut?.map(({ first, end, blocks }) => ({ first, end, blocks })),
    };
  } catch (error) {
    if (error instanceof PeftError && error.code === 'PEFT_MEMORY_INSUFFICIENT')
      throw inSettings(error, request, settings);
    if (error instanceof PeftError && error.code !== 'PEFT_WEIGHT_FORMAT') throw error;
    return unplanned(
      (error as Error).message,
      'a method that computes on weights while it is attached cannot be planned; the run goes on without',
    );
  }
}

/** The stage that decides whether a run fits. */
function heaviest(request: PlanRequest, stages: readonly PlannedStage[]): PlannedStage {
  const peaks = stages.map((stage) => planMemory({ ...request, stage }).peakBytes);
  return stages[peaks.indexOf(Math.max(...peaks))]!;
}

/** As many blocks for each stage, one more for the first ones, where nobody knows their sizes. */
function evenStages({ app, base, task, settings }: Parts): Pick<FitMemory, 'stages'> {
  const { stages } = app.get(PIPELINE);
  if (stages === 1) return {};
  const { layers } = describeBase(base, task.head(settings));
  const blocks = layers.encoder + layers.decoder;
  const start = (stage: number): number => Math.ceil((stage * blocks) / stages);
  return {
    stages: Array.from({ length: stages }, (_, stage) => ({
      first: start(stage),
      end: start(stage + 1),
      blocks,
    })),
  };
}

/** How the base is quantised while loading. */
export function quantizationOf(settings: Hyperparameters): WeightQuantization | undefined {
  // folders of earlier versions do not have it
  const format = settings['model.hf_text.quantization'] ?? 'auto';
  if (format === 'auto') return undefined;
  return format === 'nf4' || format === 'fp4' ? { format, doubleQuantization: true } : { format };
}

/** undefined where nobody knows what a GPU has. */
async function requestOf(
  { app, settings, base, engine, task, spec, data, isElsewhere = false }: Parts,
  sizing: EngineSizing,
): Promise<PlanRequest | undefined> {
  const gpu = await gpuOf(engine);
  if (gpu === 'unknown') return undefined;
  const ranks = app.get(COLLECTIVE).size;
  const sizes = [1, 2, 4, 8, 16, 32, 64, 128].filter(
    (rows) => rows < runSizes(settings).microBatchSize,
  );
  const smaller = settings['env.per_gpu_batch_size'] === 'auto' ? sizes : [];
  const residentMegabytes = settings['optim.resident_state_mb'];
  const quantization = quantizationOf(settings);
  const checkpointing = settings['model.hf_text.gradient_checkpointing'];
  const storedDtype = withStore(base.folder, storedDtypeOf);
  const residentBytes = isElsewhere ? 0 : process.memoryUsage.rss();
  return {
    architecture: base.architecture,
    config: base.config,
    head: task.head(settings),
    method: spec,
    engine: sizing,
    gpu,
    optimizerStateOn: settings['optim.state_device'],
    task: task.loss(settings),
    shardRanks: app.get(SHARDED_BASE) ? ranks : undefined,
    // a fresh process is the plan's own default
    runtimeBytes: isElsewhere ? undefined : residentBytes + GROWTH_BYTES,
    machine: machineFor(app, settings, residentBytes),
    checkpointing: checkpointing === true,
    optimizer: optimizerOf(settings['optim.optim_type']),
    ...(await batchesOf(settings, data, ranks)),
    smallerBatches: smaller.length
      ? await Promise.all(
          smaller.map((rows) =>
            batchesOf({ ...settings, 'env.per_gpu_batch_size': rows }, data, ranks),
          ),
        )
      : undefined,
    storedDtype,
    quantization,
    residentStateBytes: residentMegabytes === null ? undefined : residentMegabytes * 1e6,
  };
}

/** The card of the tensorflow engine, where it computes on one. */
async function gpuOf(engine: WithDevice): Promise<PlanRequest['gpu'] | 'unknown'> {
  const { name, device } = engine;
  if (name !== 'tensorflow' || device?.kind !== 'gpu') return undefined;
  if (!device.gpu || !Number.isFinite(device.gpu.freeBytes)) return 'unknown';
  const { gpuMemory } = await import('@peft/tensorflow');
  // what this process took since then is its own
  const freeBytes = Math.max(device.gpu.freeBytes, engine.memory?.().freeBytes ?? 0);
  return { ...gpuMemory({ ...device.gpu, freeBytes }), runtimeBytes: GPU_GROWTH_BYTES };
}

/** What the process may have in all: what is free, and what it has already. */
function machineFor(app: App, settings: Hyperparameters, residentBytes: number): MachineMemory {
  const gigabytes = settings['env.memory_gb'];
  const { totalBytes, usableBytes } = app.get(MACHINE_MEMORY)();
  return gigabytes === null
    ? { totalBytes, usableBytes: usableBytes + residentBytes }
    : { totalBytes: gigabytes * 1e9, usableBytes: gigabytes * 1e9 };
}

/**
 * The micro-batch with the most tokens, the longest rows that are scored at once, and how many sums
 * of gradients a step has.
 */
async function batchesOf(
  settings: Hyperparameters,
  data: TrainingData,
  ranks: number,
): Promise<Pick<RunSettings, 'batch' | 'evaluationBatch' | 'gradientSums'>> {
  const { lengths } = data;
  const { batchSize, microBatchSize, evaluationBatchSize } = runSizes(settings);
  const order = createBatchOrder({
    lengths,
    batchSize,
    microBatchSize,
    seed: settings['env.seed'],
  });
  const tokens = (rows: ArrayLike<number>): number =>
    Array.from(rows).reduce((sum, row) => sum + lengths[row]!, 0);
  const epochs = Array.from(
    { length: Math.min(EPOCHS_SEEN, settings['optim.max_epochs']) },
    (_, epoch) => order.batches(epoch).flat(),
  );
  const longest = epochs.flat().reduce((most, rows) => (tokens(rows) > tokens(most) ? rows : most));
  const scored = Int32Array.from(Array.from(lengths).keys())
    .sort((a, b) => lengths[b]! - lengths[a]!)
    .slice(0, evaluationBatchSize);
  const batch = async (rows: Int32Array) => ({
    sequences: rows.length,
    length: lengths[rows[0]!]!,
    packed: await data.pack(rows),
  });
  return {
    batch: await batch(longest),
    evaluationBatch: await batch(scored),
    gradientSums: gradientCopies(batchSize / microBatchSize, ranks),
  };
}

/** Measures that the settings leave to the plan. */
function leftOpen(settings: Hyperparameters): Suggestion['kind'][] {
  return [
    ...(settings['env.per_gpu_batch_size'] === 'auto' ? (['micro-batch'] as const) : []),
    ...(settings['model.hf_text.gradient_checkpointing'] === 'auto'
      ? (['checkpointing'] as const)
      : []),
    ...(settings['model.hf_text.quantization'] === 'auto' ? (['quantization'] as const) : []),
  ];
}

/** The settings with what the plan chose where they said `auto`. */
function decided(settings: Hyperparameters, chosen: RunSettings = {}): Hyperparameters {
  return overrideHyperparameters(settings, {
    'env.per_gpu_batch_size':
      settings['env.per_gpu_batch_size'] === 'auto'
        ? (chosen.batch?.sequences ?? runSizes(settings).microBatchSize)
        : settings['env.per_gpu_batch_size'],
    'model.hf_text.quantization':
      settings['model.hf_text.quantization'] === 'auto'
        ? (chosen.quantization?.format ?? null)
        : settings['model.hf_text.quantization'],
  });
}

/** The refusal with what would help in the words of a fit. */
function inSettings(error: PeftError, request: PlanRequest, settings: Hyperparameters): PeftError {
  const open = leftOpen(settings);
  const words = [
    ...(open.includes('micro-batch') || runSizes(settings).microBatchSize === 1
      ? []
      : ['env.per_gpu_batch_size=auto']),
    ...(open.includes('checkpointing') || request.checkpointing === true
      ? []
      : ['model.hf_text.gradient_checkpointing=auto']),
    ...(open.includes('quantization') ||
    request.quantization ||
    request.config['quantization_config']
      ? []
      : ['model.hf_text.quantization=auto']),
  ];
  const message = error.message.split('\n  hint: ')[0]!;
  return new PeftError(error.code, message, {
    hint:
      words.length > 0 && fitsWith(request)
        ? `it would fit with ${words.join(' ')}`
        : 'take a smaller model, shorter texts (model.hf_text.max_text_len), smaller batches ' +
          '(env.per_gpu_batch_size), or a machine with more memory',
  });
}

/** Whether anything at all makes it fit. */
function fitsWith(request: PlanRequest): boolean {
  try {
    chooseSettings(request, { allowed: ['micro-batch', 'checkpointing', 'quantization'] });
    return true;
  } catch (error) {
    if (error instanceof PeftError && error.code === 'PEFT_MEMORY_INSUFFICIENT') return false;
    throw error;
  }
}
