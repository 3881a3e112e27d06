/** Rows of attention scores, the last axis being the row: by this package's kernels where TensorFlow has them, else in tfjs ops. */
import * as tf from '@tensorflow/tfjs';
import type { NamedTensorMap, Tensor } from '@tensorflow/tfjs';
import type { Device } from '../device.js';
import { TENSORFLOW_BACKEND } from '../load-backend.js';

const NAMES = ['PeftScoreExponentials', 'PeftScoreProbabilities', 'PeftScoreGradient'] as const;
type Name = (typeof NAMES)[number];
const OUTPUTS: Readonly<Record<Name, number>> = { PeftScoreExponentials: 3, PeftScoreProbabilities: 1, PeftScoreGradient: 1 };

export function registerScores(device: Device): void {
  for (const name of NAMES) {
    if (tf.getKernel(name, TENSORFLOW_BACKEND)) continue;
    tf.registerKernel({
      kernelName: name,
      backendName: TENSORFLOW_BACKEND,
      kernelFunc: ({ inputs }) => device.scope(() => device.runAll(name, {}, Object.values(inputs) as Tensor[], OUTPUTS[name]).map((raw) => device.toTensor(raw))),
    });
  }
}

/** @returns e = exp(score − largest of the row), Σe and log Σ exp(score), the latter two with one column. */
export function scoreExponentials(scores: Tensor): readonly [e: Tensor, total: Tensor, logSumExp: Tensor] {
  const found = run('PeftScoreExponentials', { scores });
  if (found) return found as [Tensor, Tensor, Tensor];
  const largest = tf.max(scores, -1, true);
  const e = tf.exp(tf.sub(scores, largest));
  const total = tf.sum(e, -1, true);
  return [e, total, tf.add(tf.log(total), largest)];
}

/** p = exp(score − logSumExp), which has one column. */
export function scoreProbabilities(scores: Tensor, logSumExp: Tensor): Tensor {
  return run('PeftScoreProbabilities', { scores, logSumExp })?.[0] ?? tf.exp(tf.sub(scores, logSumExp));
}

/** ds = p ⊙ (dp − δ), δ having one column. */
export function scoreGradient(probabilities: Tensor, dProbabilities: Tensor, delta: Tensor): Tensor {
  return run('PeftScoreGradient', { probabilities, dProbabilities, delta })?.[0] ?? tf.mul(probabilities, tf.sub(dProbabilities, delta));
}

function run(name: Name, inputs: Record<string, Tensor>): Tensor[] | undefined {
  return tf.getKernel(name, tf.getBackend()) ? (tf.engine().runKernel(name, inputs as NamedTensorMap) as Tensor[]) : undefined;
}
