/** VeLoRA's product and its gradient, beside the same in slow loops. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { seededValues, tinyModels, usePortableEngine } from '@peft/testing';
import type { Engine } from '@peft/ops';
import { expect, it } from 'vitest';
import { lora } from '../lora.js';
import { compressedLinear } from './velora.js';

let engine: Engine;
usePortableEngine((made) => (engine = made));

const [ROWS, FEATURES, RANK, GROUPS, SCALE] = [5, 7, 2, 3, 0.7];
const WIDTH = 3; // ⌈7/3⌉, two zeros behind

it('gives x·Aᵀ, the input its gradient, and A that of what was kept', () => {
  tf.tidy(() => {
    const [x, a, dy, p] = [
      seededValues('x', ROWS * FEATURES, 1),
      seededValues('a', RANK * FEATURES, 1),
      seededValues('dy', ROWS * RANK, 1),
      seededValues('p', WIDTH, 1),
    ];
    const [X, A, P] = [
      tf.tensor2d(x, [ROWS, FEATURES]),
      tf.tensor2d(a, [RANK, FEATURES]),
      tf.tensor1d(p),
    ];
    const run = (some: Tensor2D, more: Tensor2D) =>
      compressedLinear(some, more, { groups: GROUPS, scale: SCALE }, () => tf.clone(P) as Tensor1D);
    expect(run(X, A)).toBeAllclose(tf.matMul(X, A, false, true), { atol: 1e-5 });
    const [dx, dA] = tf.grads((some, more) => run(some as Tensor2D, more as Tensor2D))(
      [X, A],
      tf.tensor2d(dy, [ROWS, RANK]),
    );
    expect(dx!).toBeAllclose(tf.matMul(tf.tensor2d(dy, [ROWS, RANK]), A), { atol: 1e-5 });
    const expected = new Float32Array(RANK * FEATURES);
    for (let n = 0; n < ROWS; n += 1)
      for (let i = 0; i < FEATURES; i += 1) {
        const first = Math.floor(i / WIDTH) * WIDTH;
        let kept = 0;
        for (let j = 0; j < WIDTH && first + j < FEATURES; j += 1)
          kept += x[n * FEATURES + first + j]! * p[j]!;
        for (let r = 0; r < RANK; r += 1)
          expected[r * FEATURES + i]! += dy[n * RANK + r]! * SCALE * kept * p[i - first]!;
      }
    expect(dA!).toBeAllclose(tf.tensor2d(expected, [RANK, FEATURES]), { atol: 1e-5 });
  });
});

it('computes what LoRA does, and learns otherwise', () => {
  const decoder = tinyModels()[2]!;
  const model = decoder.open(engine);
  const gradients = (velora?: { readonly groups: number }): Float32Array[] => {
    const adapter = model.addAdapter('a', lora({ rank: 2, targets: ['q_proj'], velora }));
    for (const { name, value, trainable } of adapter.parameters.values())
      if (trainable)
        tf.tidy(() => value.assign(tf.tensor(seededValues(name, value.size, 0.3), value.shape)));
    const { value, grads } = tf.variableGrads(
      () => tf.sum(tf.square(model.forward(decoder.batch, { training: true }).logits!)).asScalar(),
      model.trainables().map((parameter) => parameter.value),
    );
    const made = [value, ...Object.values(grads)].map((each) => each.dataSync<'float32'>().slice());
    tf.dispose([value, grads]);
    model.deleteAdapter('a');
    return made;
  };
  const [plain, short] = [gradients(), gradients({ groups: 3 })];
  expect(short[0]).toBeAllclose(plain[0]!, { rtol: 1e-5, atol: 1e-4 });
  const [aOf, bOf] = [1, 2];
  expect(short[aOf]).not.toBeAllclose(plain[aOf]!, { rtol: 1e-2, atol: 1e-3 });
  // the last layer's B reads what LoRA's does
  expect(short.at(-1)).toBeAllclose(plain.at(-1)!, { rtol: 1e-3, atol: 1e-3 });
  expect(short[bOf]!.some((value) => value !== 0)).toBe(true);
  model.dispose();
});

it.each([
  [{ groups: 0 }, 'groups must be a positive integer'],
  [{ init: 'batch_average_once' }, 'batch_average_once is not supported'],
  [{ width: 3 }, 'unknown option "width"'],
])('refuses %o', (velora, message) => {
  expect(() => lora({ velora: velora as never })).toThrow(message);
});

it('goes with plain LoRA alone', () => {
  expect(() => lora({ velora: {}, dora: true })).toThrow('velora goes with plain LoRA alone');
  expect(() => lora({ velora: {}, poolSize: 2 })).toThrow('goes with plain LoRA alone');
});
