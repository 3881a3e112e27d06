/**
 * Gated activation (Shazeer 2020): y = f(gate) ⊙ up; dgate = dy ⊙ up ⊙ f′(gate), dup = dy ⊙
 * f(gate). All `[N, F]`.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { referenceActivation, referenceDerivative } from './activation.js';
import { differentiable } from '../tape/differentiable.js';
import { runKernel } from '../tape/kernel.js';
import type { ActivationName } from '../tape/kernels.js';

/** @returns `[N, F]`, owned by the enclosing scope. */
export function gatedActivation(kind: ActivationName, gate: Tensor2D, up: Tensor2D): Tensor2D {
  return differentiable<'gate' | 'up', Tensor2D>(
    { gate, up },
    (save) => {
      save([gate, up]);
      return runKernel('PeftGatedActivation', { gate, up }, { kind }, () => [
        tf.mul(referenceActivation(kind, gate), up),
      ])[0]!;
    },
    ({ dy, saved, needs }) => {
      const [savedGate, savedUp] = saved as [Tensor, Tensor];
      const [dgate, dup] = runKernel(
        'PeftGatedActivationGradient',
        { gate: savedGate, up: savedUp, dy },
        { kind },
        () => [
          tf.mul(tf.mul(dy, savedUp), referenceDerivative(kind, savedGate)),
          tf.mul(dy, referenceActivation(kind, savedGate)),
        ],
      );
      return { gate: needs.gate ? dgate! : undefined, up: needs.up ? dup! : undefined };
    },
  );
}
