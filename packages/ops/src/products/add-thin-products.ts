/**
 * Thin products of some rows each, added to what is there: of every product p and each row n of
 * rows_p, y'[n] = y[n] + scale_p·x[n]·A_pᵀ·B_pᵀ; other rows stay. What the low-rank adapters of a batch
 * add to its rows, each adapter to its own.
 *
 * dA_p = scale_p·(dy_p·B_p)ᵀ·x_p, dB_p = scale_p·dy_pᵀ·(x_p·A_pᵀ), dx_p = scale_p·dy_p·B_p·A_p, on the
 * rows of p.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { differentiable } from '../tape/differentiable.js';
import { runKernel } from '../tape/kernel.js';
import { checkRows, gatherRows, scatterAddRows } from '../rows/gather-rows.js';
import type { AddedProduct } from '../weights/engine.js';
import { product } from './product.js';

/** scale·x·Aᵀ·Bᵀ of some rows of x. */
export interface ThinProduct extends AddedProduct {
  /** Each in [0, N), and in one product of a sum only. */
  readonly rows: Int32Array;
}

type Factor = 'x' | 'y' | `a${number}` | `b${number}`;

/**
 * @param y `[N, out]`. @param x `[N, in]`.
 * @returns `[N, out]`, owned by the enclosing scope.
 * @throws PEFT_TOKEN_ID_RANGE for a row outside [0, N)
 */
export function addThinProducts(
  y: Tensor2D,
  x: Tensor2D,
  products: readonly ThinProduct[],
): Tensor2D {
  for (const { rows } of products) checkRows(rows, x.shape[0]);
  const factors = Object.fromEntries(
    products.flatMap(({ a, b }, p) => [
      [`a${p}`, a],
      [`b${p}`, b],
    ]),
  ) as Record<`a${number}` | `b${number}`, Tensor>;
  const attributes = {
    rows: products.map(({ rows }) => rows),
    scales: products.map(({ scale }) => scale),
  };
  return differentiable<Factor, Tensor2D>(
    { y, x, ...factors },
    (save) => {
      save([x, ...products.flatMap(({ a, b }) => [a, b])]);
      return runKernel('PeftAddThinProducts', { y, x, ...factors }, attributes, () => [
        reference(y, x, products),
      ])[0]!;
    },
    ({ dy, saved: [input, ...matrices], needs }) => {
      const parts = products.map((each, p) =>
        gradientsOf(dy as Tensor2D, input as Tensor2D, {
          ...each,
          a: matrices[2 * p] as Tensor2D,
          b: matrices[2 * p + 1] as Tensor2D,
        }),
      );
      const dx = needs.x ? tf.addN(parts.map((part) => part.x())) : undefined;
      const own = parts.flatMap(({ a, b }, p) => [
        [`a${p}`, needs[`a${p}`] ? a() : undefined],
        [`b${p}`, needs[`b${p}`] ? b() : undefined],
      ]);
      return { y: dy, x: dx, ...(Object.fromEntries(own) as Partial<Record<Factor, Tensor>>) };
    },
  );
}

function reference(y: Tensor2D, x: Tensor2D, products: readonly ThinProduct[]): Tensor2D {
  return tf.tidy(() =>
    tf.addN([
      y,
      ...products.map(({ rows, a, b, scale }) => {
        const narrow = tf.mul<Tensor2D>(product(gatherRows(x, rows), a, false, true), scale);
        return scatterAddRows(product(narrow, b, false, true), rows, y.shape[0]);
      }),
    ]),
  );
}

/** Each is made when it is asked for. */
function gradientsOf(
  dy: Tensor2D,
  x: Tensor2D,
  { rows, a, b, scale }: ThinProduct,
): { readonly x: () => Tensor2D; readonly a: () => Tensor2D; readonly b: () => Tensor2D } {
  const [own, input] = [gatherRows(dy, rows), gatherRows(x, rows)];
  const narrow = tf.mul<Tensor2D>(product(own, b), scale); // [n, r]
  return {
    x: () => scatterAddRows(product(narrow, a), rows, x.shape[0]),
    a: () => product(narrow, input, true),
    b: () => tf.mul(product(own, product(input, a, false, true), true), scale),
  };
}
