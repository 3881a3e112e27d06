/** Products in one pass with what ends them: the same as one after the other, gradients included. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import {
  activate,
  add,
  linear,
  linearActivated,
  linearAdded,
  variableGradients,
  type FrozenWeight,
} from '@peft/ops';
import { expect, test } from 'vitest';
import { seededTensor, seededValues } from '../seeded-tensor.js';

type Freeze = (values: Float32Array, shape: [number, number]) => FrozenWeight;

const [ROWS, WIDTH, OUT, RANK] = [7, 65, 43, 3];

/** Declares the tests; `freeze` makes a float32 weight of the engine's. */
export function describeJointProducts(freeze: Freeze): void {
  const weightOf = (seed: string) => freeze(seededValues(seed, WIDTH * OUT), [OUT, WIDTH]);

  test.each(['gelu', 'relu', 'tanh'] as const)(
    'a product and %s in one are the two one after the other, gradients included',
    (kind) => {
      const weight = weightOf('activated');
      const shapes = { x: [ROWS, WIDTH], bias: [OUT] };
      const bias = (tensor: Tensor | undefined) => tensor as Tensor1D;
      expect(
        results(shapes, ([x, b]) => linearActivated(kind, x as Tensor2D, weight, bias(b))),
      ).toEqual(
        results(shapes, ([x, b]) => activate(kind, linear(x as Tensor2D, weight, bias(b)))),
      );
      expect(
        linearActivated(kind, seededTensor('x', [ROWS, WIDTH]) as Tensor2D, weight).shape,
      ).toEqual([ROWS, OUT]);
      weight.dispose();
    },
  );

  test.each([
    ['a bias', 0.5],
    ['no bias', 1],
  ] as const)(
    'a product with %s and an adapter beside it are the products one after the other, gradients included',
    (which, scale) => {
      const weight = weightOf('added');
      const shapes = {
        x: [ROWS, WIDTH],
        a: [RANK, WIDTH],
        b: [OUT, RANK],
        ...(which === 'a bias' && { bias: [OUT] }),
      };
      const along = (body: (x: Tensor2D, a: Tensor2D, b: Tensor2D, bias?: Tensor1D) => Tensor2D) =>
        results(shapes, ([x, a, b, bias]) =>
          body(x as Tensor2D, a as Tensor2D, b as Tensor2D, bias as Tensor1D | undefined),
        );
      expect(along((x, a, b, bias) => linearAdded(x, weight, bias, { a, b, scale }))).toEqual(
        along((x, a, b, bias) =>
          add(linear(x, weight, bias), linear(tf.mul<Tensor2D>(linear(x, a), scale), b)),
        ),
      );
      weight.dispose();
    },
  );
}

/** y, Σ y² and its gradients towards seeded inputs of these shapes. */
function results(
  shapes: Readonly<Record<string, number[]>>,
  body: (inputs: readonly Tensor[]) => Tensor2D,
): number[][] {
  const inputs = Object.entries(shapes).map(([name, shape]) =>
    tf.variable(seededTensor(name, shape)),
  );
  const y = tf.keep(tf.tidy(() => body(inputs)));
  const { value, gradients } = variableGradients(
    () => tf.tidy(() => tf.sum(tf.square(body(inputs))).asScalar()),
    inputs,
  );
  const made = [y, value, ...inputs.map(({ name }) => gradients[name]!)].map((tensor) =>
    Array.from(tensor.dataSync()),
  );
  tf.dispose([y, value, gradients, inputs]);
  return made;
}
