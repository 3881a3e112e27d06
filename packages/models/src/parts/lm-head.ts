/**
 * The output layer of a language model: logits = cap(scale·h·Wᵀ + b), cap(z) =
 * softCap·tanh(z/softCap) or z itself.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { freezeTensor, gatherRows } from '@peft/ops';
import type { ModelOutput, ModelRun } from '@peft/core';

/**
 * @param path the linear site.
 * @param hidden `[N, D]`.
 * @returns logits `[rows asked for, V]`, and how to make them.
 */
export function languageModelOutput(
  run: ModelRun,
  path: string,
  hidden: Tensor2D,
  {
    scale = 1,
    softCap = 0,
    bias,
  }: {
    readonly scale?: number;
    readonly softCap?: number;
    /** A tensor of V values that is added to the logits (BART). */
    readonly bias?: string;
  } = {},
): Pick<ModelOutput, 'logits' | 'logitsOf' | 'outputLayer'> {
  const { logitRows = 'all', assignment } = run.options;
  const plain = run.plainOutputLayer(path);
  const logitsFrom = (rows: Tensor2D): Tensor2D => {
    const z = run.outputLayer(path, scale === 1 ? rows : tf.mul<Tensor2D>(rows, scale));
    return capped(bias === undefined ? z : tf.add<Tensor2D>(z, run.vector(bias)), softCap);
  };
  const all = (): Tensor2D => logitsFrom(hidden);
  const logitsAt = (rows: Int32Array): Tensor2D => logitsFrom(gatherRows(hidden, rows));
  // a batch that mixes adapters knows the sequence of a row while there are all of them, or one each
  const logitsOf = (rows: Int32Array): Tensor2D =>
    assignment ? gatherRows(all(), rows) : logitsAt(rows);
  const parts = {
    logitsOf,
    outputLayer: plain
      ? { ...plain, bias: bias === undefined ? plain.bias : flat(run, bias), scale, softCap }
      : undefined,
  };
  if (logitRows === 'none') return parts;
  if (logitRows === 'all') return { ...parts, logits: all() };
  const logits = logitRows === 'last' ? logitsAt(run.layouts.lastRows) : logitsOf(logitRows);
  return { ...parts, logits };
}

/** As a vector, frozen as all buffers are. */
const flat = (run: ModelRun, name: string): Tensor1D =>
  freezeTensor(tf.reshape(run.vector(name), [-1]) as Tensor1D);

const capped = (z: Tensor2D, softCap: number): Tensor2D =>
  softCap > 0 ? tf.mul<Tensor2D>(tf.tanh(tf.div(z, softCap)), softCap) : z;
