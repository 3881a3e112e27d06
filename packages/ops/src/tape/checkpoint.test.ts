import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor, Tensor1D, Tensor2D, Variable } from '@tensorflow/tfjs';
import { seededTensor, seededValues } from '@peft/testing';
import { createPortableEngine } from '@peft/portable';
import { expect, test, vi } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { activate } from '../activations/activation.js';
import { attention } from '../attention/attention.js';
import { checkpoint } from './checkpoint.js';
import { dropout } from '../random/dropout.js';
import { freezeTensor, isFrozenTensor } from '../weights/frozen-tensor.js';
import { layerNorm } from '../norms/layer-norm.js';
import { linear } from '../products/linear.js';
import { offsetsOf } from '../positions/offsets.js';
import { scaleColumns } from '../rows/scale-columns.js';
import { memorySource } from '../weights/tensor-source.js';

const rows = 7;
const width = 6;
const offsets = offsetsOf([3, 4]);

/** A transformer layer with dropout over frozen weights, an IA3 vector and a trainable bias. */
async function smallModel(backend: 'cpu' | 'wasm') {
  const engine = await createPortableEngine({ backend });
  const weights = [0, 1, 2].map((i) =>
    engine.freeze(memorySource(`w${i}`, [width, width], seededValues(`w${i}`, width * width))),
  );
  const gamma = freezeTensor(tf.keep(tf.ones<tf.Rank.R1>([width])));
  const variables = [0, 1].flatMap((layer) => [
    tf.variable(seededTensor<Tensor1D>(`s${layer}`, [width])),
    tf.variable(seededTensor<Tensor1D>(`b${layer}`, [width])),
  ]);
  const block = (layer: number) => (x: Tensor) => {
    const [scale, bias] = variables.slice(2 * layer, 2 * layer + 2);
    const q = linear(x as Tensor2D, weights[0]!, bias);
    const k = scaleColumns(linear(x as Tensor2D, weights[1]!), scale as unknown as Tensor1D);
    const y = attention(q, k, x as Tensor2D, {
      heads: 2,
      queryOffsets: offsets,
      dropout: { rate: 0.2, key: [layer, 5] },
    });
    const z = tf.add(
      x,
      dropout(activate('gelu', linear(y, weights[2]!)), 0.3, [layer, 9]),
    ) as Tensor2D;
    return layerNorm(z, gamma, undefined, 1e-5);
  };
  return {
    block,
    variables,
    dispose: () => {
      for (const thing of [...weights, ...variables, gamma]) thing.dispose();
    },
  };
}

onEachBackend('checkpoint', (backend) => {
  test('loss and gradients are bit for bit those without it, dropout included, also one within another', async () => {
    const { block, variables, dispose } = await smallModel(backend);
    const x = freezeTensor(seededTensor<Tensor2D>('x', [rows, width]));
    const forwards: Record<string, () => Tensor> = {
      plain: () => block(1)(block(0)(x)),
      each: () => checkpoint([checkpoint([x], block(0))], block(1)),
      nested: () => checkpoint([x], (a) => checkpoint([checkpoint([a], block(0))], block(1))),
      oneOfTwo: () => block(1)(checkpoint([x], block(0))),
    };
    const results = Object.fromEntries(
      Object.entries(forwards).map(([name, forward]) => {
        const { value, grads } = tf.variableGrads(
          () => tf.sum(tf.square(forward())) as Scalar,
          variables,
        );
        return [
          name,
          [
            [...value.dataSync()],
            ...variables.map((variable) => [...grads[variable.name]!.dataSync()]),
          ],
        ];
      }),
    );
    for (const name of ['each', 'nested', 'oneOfTwo'])
      expect(results[name], name).toEqual(results['plain']);
    expect(
      results['plain']!.slice(1)
        .flat()
        .every((value) => Number.isFinite(value) && value !== 0),
    ).toBe(true);
    dispose();
  });

  test('a gradient reaches an input that is neither variable nor frozen, through several inputs', () => {
    const [x, y] = [seededTensor('x', [2, 3]), seededTensor('y', [2, 3])];
    const plain = (a: Tensor, b: Tensor) => tf.mul(tf.square(a), tf.sigmoid(b));
    const expected = tf.grads(plain)([x, y]);
    const got = tf.grads((a: Tensor, b: Tensor) => checkpoint([a, b], plain))([x, y]);
    got.forEach((gradient, i) =>
      expect([...gradient.dataSync()]).toEqual([...expected[i]!.dataSync()]),
    );
  });

  test('keeps nothing of the block but its inputs until the backward pass', () => {
    const w = tf.variable(seededTensor<Tensor2D>('w', [8, 8]));
    const deep = (x: Tensor) => {
      let y = x as Tensor2D;
      for (let i = 0; i < 10; i += 1) y = activate('gelu', linear(y, w as unknown as Tensor2D));
      return y;
    };
    const tensorsAfterForward = (forward: (x: Tensor) => Tensor) => {
      const before = tf.memory().numTensors;
      let during = 0;
      tf.tidy(() =>
        tf.variableGrads(
          () =>
            tf.tidy(() => {
              const loss = tf.sum(forward(seededTensor('x', [4, 8])));
              during = tf.memory().numTensors - before;
              return loss as Scalar;
            }),
          [w as Variable],
        ),
      );
      return during;
    };
    const plain = tensorsAfterForward(deep);
    const saved = tensorsAfterForward((x) => checkpoint([x], deep as (...xs: Tensor[]) => Tensor));
    expect(plain).toBeGreaterThan(40);
    expect(saved).toBeLessThan(10);
    w.dispose();
  });

  test('a block of frozen tensors alone is frozen, whatever it is made with', () => {
    const x = freezeTensor(seededTensor<Tensor2D>('x', [2, 3]));
    const w = tf.variable(seededTensor<Tensor1D>('w', [3]));
    tf.variableGrads(() => {
      const made = checkpoint([x], (a) => tf.reshape(a, [3, 2]));
      expect(isFrozenTensor(made)).toBe(true);
      expect(isFrozenTensor(checkpoint([x], (a) => tf.mul(a, w)))).toBe(false);
      return tf.sum(w) as Scalar;
    }, [w]);
    w.dispose();
  });

  test('frozen inputs stay frozen when the block is run again', () => {
    const seen: boolean[] = [];
    const w = tf.variable(seededTensor<Tensor1D>('w', [3]));
    const x = freezeTensor(seededTensor<Tensor2D>('x', [2, 3]));
    tf.variableGrads(
      () =>
        tf.sum(
          checkpoint([x], (a) => {
            seen.push(isFrozenTensor(a));
            return scaleColumns(a as Tensor2D, w);
          }),
        ) as Scalar,
      [w],
    );
    expect(seen).toEqual([true, true]);
    w.dispose();
  });

  test(
    'a captured tensor that a gradient should reach is an error that says what to do; ' +
      'nothing is left behind',
    () => {
      const captured = seededTensor('c', [3]);
      const x = seededTensor('x', [3]);
      const before = tf.memory().numTensors;
      expect(() => tf.tidy(() => tf.grad((a) => checkpoint([a], (b) => tf.mul(b, captured)))(x)))
        .toThrowErrorMatchingInlineSnapshot(`
      [PeftError: checkpoint: the block captures a tensor of shape [3] that is neither a variable nor frozen.
        hint: pass it in the list of inputs, so that a gradient can reach it]
    `);
      expect(tf.memory().numTensors).toBe(before);
      const mask = tf.tensor1d([1, 0, 1], 'int32'); // no gradient reaches integers
      expect([
        ...tf
          .grad((a) => checkpoint([a], (b) => tf.mul(b, tf.cast(mask, 'float32'))))(x)
          .dataSync(),
      ]).toEqual([1, 0, 1]);
      expect([
        ...tf
          .grad((a) => checkpoint([a], (b) => tf.mul(b, freezeTensor(captured))))(x)
          .dataSync(),
      ]).toEqual([...captured.dataSync()]);
    },
  );

  test('a block that returns its input passes the gradient on once', () => {
    const x = seededTensor('x', [3]);
    expect([
      ...tf
        .grad((a) =>
          tf.mul(
            checkpoint([a], (b) => b),
            3,
          ),
        )(x)
        .dataSync(),
    ]).toEqual([3, 3, 3]);
  });

  test('without a gradient the block runs once and only its result is left', () => {
    const block = vi.fn((x: Tensor) => tf.square(tf.square(x)));
    const x = seededTensor('x', [3]);
    const before = tf.memory().numTensors;
    checkpoint([x], block as (...xs: Tensor[]) => Tensor);
    expect(block).toHaveBeenCalledTimes(1);
    expect(tf.memory().numTensors).toBe(before + 1);
  });
});
