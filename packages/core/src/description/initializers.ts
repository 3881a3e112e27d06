/** Ways to fill a new parameter: functions of its shape and a seeded stream of random numbers. */
import { randomNormal, randomUniform, type RandomKey } from '@peft/ops';

/**
 * @param shape of the parameter. @param key names the random stream. @returns values, row-major.
 */
export type Initializer = (shape: readonly number[], key: RandomKey) => Float32Array;

/** Values of a parameter that is `storedAs` whole numbers. */
export type WholeNumbers = (shape: readonly number[], key: RandomKey) => Int32Array;

const sizeOf = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);
const fill = (shape: readonly number[], value: (i: number) => number): Float32Array => {
  const out = new Float32Array(sizeOf(shape));
  for (let i = 0; i < out.length; i += 1) out[i] = value(i);
  return out;
};

/** All 0. */
export const zeros: Initializer = (shape) => new Float32Array(sizeOf(shape));
/** All 1. */
export const ones: Initializer = (shape) => new Float32Array(sizeOf(shape)).fill(1);
/** All `value`. */
export const constant =
  (value: number): Initializer =>
  (shape) =>
    new Float32Array(sizeOf(shape)).fill(value);
/** N(mean, standardDeviation²). */
export const normal =
  (standardDeviation: number, mean = 0): Initializer =>
  (shape, key) =>
    fill(shape, (i) => mean + standardDeviation * randomNormal(key, i));
/** U(low, high). */
export const uniform =
  (low: number, high: number): Initializer =>
  (shape, key) =>
    fill(shape, (i) => low + (high - low) * randomUniform(key, i));
/** torch's `kaiming_uniform_(a=√5)` of a weight `[out, in]`: U(−1/√in, 1/√in). He et al. 2015. */
export const kaimingUniform: Initializer = (shape, key) => {
  const bound = 1 / Math.sqrt(sizeOf(shape.slice(1)));
  return uniform(-bound, bound)(shape, key);
};
/** Glorot and Bengio 2010: U(−√(6/(in+out)), +) of a weight `[out, in]`. */
export const xavierUniform: Initializer = (shape, key) => {
  const bound = Math.sqrt(6 / (shape[0]! + sizeOf(shape.slice(1))));
  return uniform(-bound, bound)(shape, key);
};
/** Values given beforehand. */
export const values =
  (given: Float32Array): Initializer =>
  () =>
    Float32Array.from(given);
