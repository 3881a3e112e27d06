/**
 * The output layer of a language model: logits = cap(scale·h·Wᵀ + b), cap(z) =
 * softCap·tanh(z/softCap) or z itself.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { gatherRows } from '@peft/ops';
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
  { scale = 1, softCap = 0 }: { readonly scale?: number; readonly softCap?: number } = {},
): Pick<ModelOutput, 'logits' | 'logitsOf' | 'outputLayer'> {
  const { logitRows = 'all', assignment } = run.options;
  const plain = run.plainOutputLayer(path);
  const all = (): Tensor2D =>
    capped(run.outputLayer(path, scale === 1 ? hidden : tf.mul<Tensor2D>(hidden, scale)), softCap);
  // A batch that mixes adapters knows the sequence of a row only while all rows are there.
  const logitsOf = (rows: Int32Array): Tensor2D => {
    if (assignment) return gatherRows(all(), rows);
    const chosen = gatherRows(hidden, rows);
    return capped(
      run.outputLayer(path, scale === 1 ? chosen : tf.mul<Tensor2D>(chosen, scale)),
      softCap,
    );
  };
  const parts = { logitsOf, outputLayer: plain ? { ...plain, scale, softCap } : undefined };
  if (logitRows === 'none') return parts;
  return {
    ...parts,
    logits:
      logitRows === 'all'
        ? all()
        : logitsOf(logitRows === 'last' ? run.layouts.lastRows : logitRows),
  };
}

const capped = (z: Tensor2D, softCap: number): Tensor2D =>
  softCap > 0 ? tf.mul<Tensor2D>(tf.tanh(tf.div(z, softCap)), softCap) : z;
