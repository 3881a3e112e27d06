/** The output layer of a language model: logits = cap(scale·h·Wᵀ + b), cap(z) = softCap·tanh(z/softCap) or z itself. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { gatherRows } from '@peft/ops';
import type { ModelOutput, ModelRun } from '@peft/core';

/** @param path the linear site. @param hidden `[N, D]`. @returns logits `[rows asked for, V]`, and how to make them. */
export function languageModelOutput(run: ModelRun, path: string, hidden: Tensor2D, { scale = 1, softCap = 0 }: { readonly scale?: number; readonly softCap?: number } = {}): Pick<ModelOutput, 'logits' | 'outputLayer'> {
  const { logitRows = 'all', assignment } = run.options;
  const plain = run.plainOutputLayer(path);
  const outputLayer = plain && { ...plain, scale, softCap };
  if (logitRows === 'none') return { ...(outputLayer && { outputLayer }) };
  const rows = logitRows === 'all' || assignment ? hidden : gatherRows(hidden, logitRows);
  const z = run.outputLayer(path, scale === 1 ? rows : tf.mul<Tensor2D>(rows, scale));
  const all = softCap > 0 ? tf.mul<Tensor2D>(tf.tanh(tf.div(z, softCap)), softCap) : z;
  return { logits: logitRows !== 'all' && assignment ? gatherRows(all, logitRows) : all, ...(outputLayer && { outputLayer }) };
}
