/**
 * A factor per column (IA3's vectors): y = x ⊙ s with x `[N, D]`, s `[D]`; dx = dy ⊙ s, ds = Σ_n x
 * ⊙ dy.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { differentiable } from '../tape/differentiable.js';
import { runKernel } from '../tape/kernel.js';
import { sumRows } from './sum-rows.js';

/** @returns `[N, D]`, owned by the enclosing scope. */
export function scaleColumns(x: Tensor2D, scale: Tensor1D): Tensor2D {
  return differentiable<'x' | 'scale', Tensor2D>(
    { x, scale },
    (save) => {
      save([x, scale]);
      return runKernel('PeftScaleColumns', { x, scale }, {}, () => [tf.mul(x, scale)])[0]!;
    },
    ({ dy, saved, needs }) => {
      const [savedX, savedScale] = saved as [Tensor, Tensor];
      const [dx, dscale] = runKernel(
        'PeftScaleColumnsGradient',
        { x: savedX, scale: savedScale, dy },
        { needX: needs.x, needScale: needs.scale },
        () => [
          needs.x ? tf.mul(dy, savedScale) : tf.zeros([0]),
          needs.scale ? sumRows(tf.mul(savedX, dy)) : tf.zeros([0]),
        ],
      );
      return { x: needs.x ? dx! : undefined, scale: needs.scale ? dscale! : undefined };
    },
  );
}
