/**
 * Adafactor, as transformers computes it: the second moment of a matrix is kept as its row and
 * column means.
 *
 *   β̂ₜ = 1 − t^decayRate; u = g² + ε₁
 *   shape [..., R, C]: r ← β̂r + (1 − β̂)·mean_C(u), c ← β̂c + (1 − β̂)·mean_R(u),
 *                      û = g / (√(r/mean(r)) · √c)
 *   a vector:          v ← β̂v + (1 − β̂)u, û = g/√v
 *   û ← û / max(1, rms(û)/d); û ← α·û; with β₁ m ← β₁m + (1 − β₁)û and û = m
 *   θ ← θ − λαθ − û
 *
 * α = lr, or min(10⁻² (10⁻⁶·t with warm-up), 1/√t) with relative steps; times max(ε₂, rms(θ)) with
 * scaled parameters.
 *
 * @see Shazeer & Stern 2018, Adafactor, algorithms 4 and 5
 */
import { check, PeftError } from '@peft/errors';
import { defineOptimizer, type OptimizerRule, type ParameterState } from './define-optimizer.js';
import type { UpdateContext } from './update-context.js';
import type { Optimizer } from './optimizer.js';
import type { SlotSpec } from '../state/slots.js';

/** Settings of `adafactor`; the defaults are transformers'. */
export interface AdafactorOptions {
  /** ε₁, added to the squared gradient. Default 1e-30. */
  readonly epsilon1?: number;
  /** ε₂, the least scale of a parameter. Default 1e-3. */
  readonly epsilon2?: number;
  /** d, the greatest root mean square of an update. Default 1. */
  readonly clipThreshold?: number;
  /** Below 0. Default −0.8. */
  readonly decayRate?: number;
  /** β₁ in [0, 1) keeps a first moment (4 bytes an element). Default: none. */
  readonly beta1?: number;
  /** Multiplies the rate by the parameter's root mean square. Default true. */
  readonly scaleParameter?: boolean;
  /**
   * Makes its own rate from the step; the schedule's rate is not used then, groups still scale.
   * Default true.
   */
  readonly relativeStep?: boolean;
  /** With relative steps, starts at 10⁻⁶ and grows linearly. Default false. */
  readonly warmupInit?: boolean;
}

type Settings = Required<Omit<AdafactorOptions, 'beta1'>> & { readonly beta1: number | undefined };

/**
 * Adafactor. State of an `[R, C]` matrix: R + C + 1 floats (`exp_avg_sq_row`, `exp_avg_sq_col`,
 * `RMS`), of a vector `exp_avg_sq`, with β₁ also `exp_avg`.
 * @throws PEFT_CONFIG_INVALID for an option out of range or warm-up without relative steps.
 */
export function adafactor(options: AdafactorOptions = {}): Optimizer {
  const settings = withDefaults(options);
  return defineOptimizer({
    name: 'adafactor',
    slots: (shape) => slots(shape, settings),
    updateParameter: updateWith(settings),
  });
}

function withDefaults(options: AdafactorOptions): Settings {
  const {
    epsilon1 = 1e-30,
    epsilon2 = 1e-3,
    clipThreshold = 1,
    decayRate = -0.8,
    beta1,
    scaleParameter = true,
    relativeStep = true,
    warmupInit = false,
  } = options;
  check.positive('adafactor', 'epsilon1', epsilon1);
  check.positive('adafactor', 'epsilon2', epsilon2);
  check.positive('adafactor', 'clipThreshold', clipThreshold);
  if (!(decayRate < 0 && Number.isFinite(decayRate)))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `adafactor: decayRate must be a number < 0, got ${decayRate}.`,
    );
  if (beta1 !== undefined) check.probability('adafactor', 'beta1', beta1);
  check.boolean('adafactor', 'scaleParameter', scaleParameter);
  check.boolean('adafactor', 'relativeStep', relativeStep);
  check.boolean('adafactor', 'warmupInit', warmupInit);
  if (warmupInit && !relativeStep) {
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      'adafactor: warmupInit needs relativeStep, got relativeStep: false.',
      { hint: 'Leave warmupInit out and warm up with the schedule.' },
    );
  }
  return {
    epsilon1,
    epsilon2,
    clipThreshold,
    decayRate,
    beta1,
    scaleParameter,
    relativeStep,
    warmupInit,
  };
}

function slots(shape: readonly number[], { beta1 }: Settings): SlotSpec[] {
  const factored: SlotSpec[] =
    shape.length >= 2
      ? [
          { name: 'exp_avg_sq_row', dtype: 'F32', shape: shape.slice(0, -1), span: 'whole' },
          {
            name: 'exp_avg_sq_col',
            dtype: 'F32',
            shape: [...shape.slice(0, -2), shape.at(-1)!],
            span: 'whole',
          },
        ]
      : [{ name: 'exp_avg_sq', dtype: 'F32', shape, span: 1 }];
  const first: SlotSpec[] =
    beta1 === undefined ? [] : [{ name: 'exp_avg', dtype: 'F32', shape, span: 1 }];
  return [...factored, ...first, { name: 'RMS', dtype: 'F32', shape: [1], span: 'whole' }];
}

function updateWith(settings: Settings): OptimizerRule['updateParameter'] {
  const { beta1, clipThreshold, decayRate } = settings;
  return (values, gradient, state, context) => {
    const memory = 1 - context.step ** decayRate;
    const rms = rootMeanSquare(values);
    state.whole('RMS')[0] = rms;
    const rate = stepRate(rms, settings, context);
    const update =
      context.shape.length >= 2
        ? factoredUpdate(gradient, state, memory, settings.epsilon1, context)
        : vectorUpdate(gradient, state, memory, settings.epsilon1, context);
    const scale = rate / Math.max(1, rootMeanSquare(update) / clipThreshold);
    const shrink = 1 - context.weightDecay * rate;
    if (beta1 === undefined) {
      for (let i = 0; i < values.length; i += 1)
        values[i] = values[i]! * shrink - update[i]! * scale;
      return;
    }
    state.visit('write', (start, end, arrays) => {
      const moment = arrays[arrays.length - 1] as Float32Array;
      for (let i = start; i < end; i += 1) {
        const m = beta1 * moment[i - start]! + (1 - beta1) * update[i]! * scale;
        moment[i - start] = m;
        values[i] = values[i]! * shrink - m;
      }
    });
  };
}

/** α of the header. */
function stepRate(
  rms: number,
  { relativeStep, warmupInit, scaleParameter, epsilon2 }: Settings,
  { step, learningRate, learningRateScale }: UpdateContext,
): number {
  const rate = relativeStep
    ? learningRateScale * Math.min(warmupInit ? 1e-6 * step : 1e-2, 1 / Math.sqrt(step))
    : learningRate;
  return rate * (scaleParameter ? Math.max(epsilon2, rms) : 1);
}

function vectorUpdate(
  gradient: Float32Array,
  state: ParameterState,
  memory: number,
  epsilon1: number,
  { gradientScale }: UpdateContext,
): Float32Array {
  const update = new Float32Array(gradient.length);
  state.visit('write', (start, end, arrays) => {
    const second = arrays[0] as Float32Array;
    for (let i = start; i < end; i += 1) {
      const g = Math.fround(gradient[i]! * gradientScale);
      const v = memory * second[i - start]! + (1 - memory) * (g * g + epsilon1);
      second[i - start] = v;
      update[i] = g / Math.sqrt(v);
    }
  });
  return update;
}

/** Updates row and column means and returns g / (√(r/mean(r)) · √c), shape `[..., R, C]`. */
function factoredUpdate(
  gradient: Float32Array,
  state: ParameterState,
  memory: number,
  epsilon1: number,
  { shape, gradientScale }: UpdateContext,
): Float32Array {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const update = new Float32Array(gradient.length);
  const rowMeans = state.whole('exp_avg_sq_row') as Float32Array;
  const columnMeans = state.whole('exp_avg_sq_col') as Float32Array;
  const matrices = update.length / Math.max(1, rows * columns);
  const columnSums = new Float64Array(columns);
  for (let matrix = 0; matrix < matrices; matrix += 1) {
    const rowStart = matrix * rows;
    const columnStart = matrix * columns;
    columnSums.fill(0);
    let meanOfRows = 0;
    for (let row = 0; row < rows; row += 1) {
      let sum = 0;
      for (let column = 0, i = (rowStart + row) * columns; column < columns; column += 1, i += 1) {
        const g = Math.fround(gradient[i]! * gradientScale);
        const square = g * g + epsilon1;
        sum += square;
        columnSums[column] = columnSums[column]! + square;
      }
      rowMeans[rowStart + row] =
        memory * rowMeans[rowStart + row]! + (1 - memory) * (sum / columns);
      meanOfRows += rowMeans[rowStart + row]!;
    }
    meanOfRows /= rows;
    for (let column = 0; column < columns; column += 1)
      columnMeans[columnStart + column] =
        memory * columnMeans[columnStart + column]! + (1 - memory) * (columnSums[column]! / rows);
    for (let row = 0; row < rows; row += 1) {
      const rowFactor = 1 / Math.sqrt(rowMeans[rowStart + row]! / meanOfRows);
      for (let column = 0, i = (rowStart + row) * columns; column < columns; column += 1, i += 1) {
        update[i] =
          (Math.fround(gradient[i]! * gradientScale) * rowFactor) /
          Math.sqrt(columnMeans[columnStart + column]!);
      }
    }
  }
  return update;
}

function rootMeanSquare(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += values[i]! * values[i]!;
  return Math.sqrt(sum / Math.max(1, values.length));
}
