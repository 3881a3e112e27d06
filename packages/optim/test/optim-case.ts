/**
 * Runs a golden case of `optim/`: an optimiser's 20 steps against the reference library's, or a
 * table of learning rates.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { openSafetensors, readTensor } from '@peft/hub';
import * as tf from '@tensorflow/tfjs';
import {
  adafactor,
  adam,
  adamw,
  adamw8bit,
  autogluonSchedule,
  constantSchedule,
  cosineSchedule,
  cosineWithMinimumSchedule,
  cosineWithRestartsSchedule,
  inverseSqrtSchedule,
  linearSchedule,
  lion,
  lion8bit,
  polynomialSchedule,
  sgd,
  stateTensors,
  warmupStableDecaySchedule,
  type AutogluonScheduleName,
  type LearningRateSchedule,
  type Optimizer,
  type PhaseShape,
  type StateStore,
} from '../src/index.js';

export interface OptimCase {
  readonly gradient: { readonly scale: readonly number[] };
  readonly optimizers: Readonly<
    Record<
      string,
      {
        readonly class: string;
        readonly arguments: Record<string, unknown>;
        readonly tensors: readonly string[];
      }
    >
  >;
  readonly expected: {
    readonly tensors: Readonly<Record<string, { readonly atol: number | null }>>;
    readonly atol_for?: Readonly<Record<string, number>>;
  };
}

export interface Comparison {
  readonly name: string;
  /** Largest difference. */
  readonly worst: number;
  readonly atol: number;
  /** Share of equal 8-bit codes. */
  readonly equalCodes?: number;
}

export const readCase = (folder: string): OptimCase =>
  JSON.parse(readFileSync(path.join(folder, 'case.json'), 'utf8')) as OptimCase;

/** All float tensors of a safetensors file. */
export function readTensors(
  file: string,
): Map<string, { shape: readonly number[]; values: Float32Array | Uint8Array }> {
  const store = openSafetensors(file);
  try {
    return new Map(
      store.names().map((name) => {
        const { shape, values } = readTensor(store.get(name)!);
        return [name, { shape, values: values as Float32Array | Uint8Array }];
      }),
    );
  } finally {
    store.close();
  }
}

/** Element i of the gradient of step t is base[(i + 37t) mod n] · scale[t], rounded to float32. */
export const gradientOf = (base: ArrayLike<number>, step: number, scale: number): Float32Array =>
  Float32Array.from(
    { length: base.length },
    (_, i) => base[(i + 37 * step) % base.length]! * Math.fround(scale),
  );

/** Our optimiser for the reference's class and arguments. */
export function optimizerOf(className: string, a: Record<string, unknown>): Optimizer {
  const [beta1, beta2] = (a['betas'] ?? []) as number[];
  const adamOptions = { beta1, beta2, epsilon: a['eps'] as number };
  switch (className) {
    case 'torch.optim.AdamW':
      return adamw(adamOptions);
    case 'torch.optim.Adam':
      return adam(adamOptions);
    case 'torch.optim.SGD':
      return sgd({
        momentum: a['momentum'] as number,
        nesterov: a['nesterov'] as boolean | undefined,
      });
    case 'transformers.optimization.Adafactor':
      return adafactor({
        scaleParameter: a['scale_parameter'] as boolean,
        relativeStep: a['relative_step'] as boolean,
        warmupInit: a['warmup_init'] as boolean,
        beta1: a['beta1'] as number | undefined,
        clipThreshold: a['clip_threshold'] as number | undefined,
      });
    case 'bitsandbytes.optim.Lion32bit':
      return lion({ beta1, beta2 });
    case 'bitsandbytes.optim.Lion8bit':
      return lion8bit({ beta1, beta2 });
    case 'bitsandbytes.optim.AdamW8bit':
      return adamw8bit(adamOptions);
    default:
      throw new Error(`no optimiser of ours is ${className}`);
  }
}

/**
 * Runs the case in a folder (its `start.safetensors` lies one up) and compares every expected
 * tensor.
 */
export async function runOptimCase(
  folder: string,
  makeStore?: () => StateStore,
): Promise<Comparison[]> {
  const golden = readCase(folder);
  const start = readTensors(path.join(folder, '..', 'start.safetensors'));
  const expected = readTensors(path.join(folder, 'expected.safetensors'));
  const {
    class: className,
    arguments: args,
    tensors: names,
  } = Object.values(golden.optimizers)[0]!;
  const optimizer = optimizerOf(className, args);
  const group = {
    learningRateScale: 1,
    weightDecay: (args['weight_decay'] as number | undefined) ?? 0,
  };
  const parameters = names.map((name) => {
    const { values, shape } = start.get(`parameter.${name}`)!;
    return {
      name,
      variable: tf.tidy(() =>
        tf.variable(tf.tensor(Float32Array.from(values), [...shape], 'float32')),
      ),
      group,
    };
  });
  const state = optimizer.init(parameters, makeStore ? { store: makeStore() } : {});
  const results: Comparison[] = [];
  const compare = (name: string, got: ArrayLike<number>): void => {
    const wanted = expected.get(name);
    if (wanted) results.push(difference(name, got, wanted.values, tolerance(golden, name)));
  };
  for (const [t, scale] of golden.gradient.scale.entries()) {
    const gradients = Object.fromEntries(
      names.map((name) => [name, gradientOf(start.get(`gradient.${name}`)!.values, t, scale)]),
    );
    await optimizer.update(parameters, gradients, state, {
      learningRate: (args['lr'] as number | null) ?? 0,
    });
    for (const { name, variable } of parameters)
      compare(`step${t + 1}.${name}`, variable.dataSync());
    for (const tensor of await stateTensors(state)) {
      const bytes = tensor.read().slice();
      compare(`state${t + 1}.${tensor.name}`, valuesOf(tensor.dtype, bytes));
    }
  }
  for (const { variable } of parameters) variable.dispose();
  state.dispose();
  const compared = new Set(results.map(({ name }) => name));
  const missed = [...expected.keys()].filter((name) => !compared.has(name));
  if (missed.length > 0)
    throw new Error(`${folder}: nothing was compared with ${missed.join(', ')}`);
  return results;
}

/**
 * Whether a comparison keeps to the case's tolerance: codes may be off by one, and 99.5 % must be
 * equal.
 */
export const passes = ({ worst, atol, equalCodes }: Comparison): boolean =>
  equalCodes === undefined ? worst <= atol : equalCodes >= 0.995 && worst <= 1;

function difference(
  name: string,
  got: ArrayLike<number>,
  wanted: Float32Array | Uint8Array,
  atol: number,
): Comparison {
  if (got.length !== wanted.length)
    throw new Error(`${name}: ${got.length} values instead of ${wanted.length}`);
  let worst = 0;
  let equal = 0;
  for (let i = 0; i < wanted.length; i += 1) {
    const apart = Math.abs(got[i]! - wanted[i]!);
    if (!(apart <= worst)) worst = apart;
    if (apart === 0) equal += 1;
  }
  return wanted instanceof Uint8Array
    ? { name, worst, atol, equalCodes: equal / wanted.length }
    : { name, worst, atol };
}

function tolerance({ expected }: OptimCase, name: string): number {
  const pattern = Object.keys(expected.tensors).find((candidate) =>
    new RegExp(`^${candidate.replaceAll('.', '\\.').replaceAll('*', '.*')}$`).test(name),
  );
  return expected.atol_for?.[name] ?? expected.tensors[pattern ?? '']?.atol ?? 0;
}

export interface ScheduleTable {
  readonly name: string;
  readonly from: string;
  readonly arguments: Record<string, number | string>;
  readonly lr: number;
  readonly values: readonly number[];
}

export const readScheduleTables = (file: string): ScheduleTable[] =>
  (JSON.parse(readFileSync(file, 'utf8')) as { schedules: ScheduleTable[] }).schedules;

/** Our schedule for a table's function and arguments. */
export function scheduleOf({
  from,
  lr: learningRate,
  arguments: a,
}: ScheduleTable): LearningRateSchedule {
  const number = (key: string): number | undefined => a[key] as number | undefined;
  const decay = {
    learningRate,
    warmupSteps: number('num_warmup_steps') ?? 0,
    totalSteps: number('num_training_steps') ?? 0,
  };
  switch (from.split('.').at(-1)) {
    case 'get_constant_schedule_with_warmup':
      return constantSchedule(decay);
    case 'get_linear_schedule_with_warmup':
      return linearSchedule(decay);
    case 'get_cosine_schedule_with_warmup':
      return cosineSchedule({ ...decay, cycles: number('num_cycles') });
    case 'get_cosine_with_hard_restarts_schedule_with_warmup':
      return cosineWithRestartsSchedule({ ...decay, cycles: number('num_cycles') });
    case 'get_cosine_with_min_lr_schedule_with_warmup':
      return cosineWithMinimumSchedule({
        ...decay,
        minimumLearningRate: learningRate * number('min_lr_rate')!,
      });
    case 'get_polynomial_decay_schedule_with_warmup':
      return polynomialSchedule({
        ...decay,
        endLearningRate: number('lr_end'),
        power: number('power'),
      });
    case 'get_inverse_sqrt_schedule':
      return inverseSqrtSchedule({ ...decay, timescale: number('timescale') });
    case 'get_wsd_schedule': {
      const decaySteps = number('num_decay_steps')!;
      const stableSteps =
        number('num_stable_steps') ?? decay.totalSteps - decay.warmupSteps - decaySteps;
      const shapes = {
        warmupShape: a['warmup_type'] as PhaseShape | undefined,
        decayShape: a['decay_type'] as PhaseShape | undefined,
      };
      return warmupStableDecaySchedule({
        ...decay,
        ...shapes,
        decaySteps,
        stableSteps,
        minimumShare: number('min_lr_ratio'),
      });
    }
    case 'get_lr_scheduler':
      return autogluonSchedule(a['lr_schedule'] as AutogluonScheduleName, {
        ...decay,
        totalSteps: number('num_max_steps')!,
        endLearningRate: number('end_lr'),
      });
    default:
      throw new Error(`no schedule of ours is ${from}`);
  }
}

function valuesOf(dtype: string, bytes: Uint8Array): ArrayLike<number> {
  if (dtype === 'U8') return bytes;
  return dtype === 'I32' ? new Int32Array(bytes.buffer) : new Float32Array(bytes.buffer);
}
