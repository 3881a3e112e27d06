import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor, Tensor2D, Variable } from '@tensorflow/tfjs';
import { seededTensor, tinyModels } from '@peft/testing';
import { createPortableEngine } from '@peft/portable';
import { lora } from '@peft/lora';
import { beforeEach, describe, expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { crossEntropy } from '../losses/cross-entropy.js';
import { gradientsOf, recordGradients, variableGradients } from './gradients.js';

onEachBackend('gradientsOf', () => {
  let [x, w]: Tensor2D[] = [];
  beforeEach(() => {
    [x, w] = [seededTensor<Tensor2D>('x', [4, 3]), seededTensor<Tensor2D>('w', [3, 5])];
  });
  const functions: [string, (a: Tensor, b: Tensor) => Tensor][] = [
    ['a product', (a, b) => tf.matMul(a, b)],
    [
      'a tensor used three times',
      (a, b) =>
        tf.addN([
          tf.matMul(a as Tensor2D, b as Tensor2D),
          tf.matMul(tf.square(a) as Tensor2D, b as Tensor2D),
          tf.matMul(a as Tensor2D, b as Tensor2D),
        ]),
    ],
    [
      'pieces put together again',
      (a, b) =>
        tf.concat(
          tf
            .split(tf.matMul(a as Tensor2D, b as Tensor2D), 5, 1)
            .map((part, i) => tf.mul(part, i + 1)),
          1,
        ),
    ],
    ['an output of several that nothing reads', (a, b) => tf.add(tf.split(b, 3, 0)[1]!, tf.sum(a))],
    [
      'reshapes and clones, whose gradients share memory',
      (a, b) => tf.add(tf.clone(tf.reshape(a, [3, 4])).sum(), tf.clone(b).sum()),
    ],
    [
      'softmax of a row',
      (a, b) => tf.softmax(tf.add(tf.matMul(a as Tensor2D, b as Tensor2D), tf.ones([5]))),
    ],
  ];
  test.each(functions)('gives what tfjs gives for %s', (_, f) => {
    const before = tf.memory().numTensors;
    const expected = tf.grads(f)([x!, w!].slice(0, f.length));
    const { value, gradients } = tf.tidy(() => {
      const made = gradientsOf(() => f(x!, w!), [x!, w!].slice(0, f.length));
      return { value: tf.clone(made.value), gradients: [...made.gradients] };
    });
    gradients.forEach((gradient, i) =>
      expect([...gradient!.dataSync()]).toEqual([...expected[i]!.dataSync()]),
    );
    tf.dispose([value, gradients, expected].flat());
    expect(tf.memory().numTensors).toBe(before);
  });

  test.each(functions)('gives the same one by one for %s', (_, f) => {
    const before = tf.memory().numTensors;
    const xs = [x!, w!].slice(0, f.length);
    const expected = tf.grads(f)(xs);
    const recorded = recordGradients(() => f(x!, w!), xs);
    const seen = [...recorded.oneByOne()];
    expect(seen.map(([i]) => i).sort()).toEqual(xs.map((_, i) => i));
    for (const [i, gradient] of seen)
      expect([...gradient.dataSync()]).toEqual([...expected[i]!.dataSync()]);
    tf.dispose([recorded.value, expected, seen.map(([, gradient]) => gradient)].flat());
    expect(tf.memory().numTensors).toBe(before);
  });

  test('hands a gradient on before it goes back beyond the first use, and can be left there', () => {
    const [three, two] = [tf.scalar(3), tf.scalar(2)];
    const before = tf.memory().numTensors;
    const [late, early] = [tf.variable(three), tf.variable(two)];
    const walked: string[] = [];
    const noted = tf.customGrad((input, save) => {
      (save as (tensors: Tensor[]) => void)([input as Tensor]);
      return {
        value: tf.square(input as Tensor),
        gradFunc: (dy: Tensor, saved: Tensor[]) => {
          walked.push('square');
          return tf.mul(dy, tf.mul(2, saved[0]!));
        },
      };
    });
    const loss = () => tf.add(tf.mul(noted(early), late), late) as Scalar;
    const whole = recordGradients(loss, [early, late]);
    for (const [i, gradient] of whole.oneByOne()) {
      walked.push(`${i}: ${gradient.dataSync()[0]}`);
      gradient.dispose();
    }
    // late: early² + 1, early: 2 · early · late
    expect(walked).toEqual(['1: 5', 'square', '0: 12']);
    const half = recordGradients(loss, [early, late]);
    for (const [, gradient] of half.oneByOne()) {
      gradient.dispose();
      break;
    }
    expect(walked).toHaveLength(3);
    tf.dispose([whole.value, half.value, early, late]);
    expect(tf.memory().numTensors).toBe(before);
  });

  test('starts from the given gradient of the value, which the caller keeps', () => {
    const dy = seededTensor<Tensor2D>('dy', [4, 5]);
    const f = () => tf.matMul(x!, w!);
    const [expected] = tf.tidy(() =>
      tf.grads((a: Tensor, b: Tensor) => tf.matMul(a, b))([x!, w!], dy),
    ) as Tensor[];
    const { gradients } = gradientsOf(f, [x!], dy);
    expect([...gradients[0]!.dataSync()]).toEqual([...expected!.dataSync()]);
    expect(dy.isDisposed).toBe(false);
  });

  test('says which variables have no gradient, and fails when none has', () => {
    const [used, idle] = [tf.variable(x!), tf.variable(w!)];
    const { gradients } = tf.tidy(() =>
      variableGradients(() => tf.sum(tf.square(used)) as Scalar, [used, idle] as Variable[]),
    );
    expect(Object.keys(gradients)).toEqual([used.name]);
    const before = tf.memory().numTensors;
    expect(() =>
      tf.tidy(() => variableGradients(() => tf.sum(x!) as Scalar, [idle] as Variable[])),
    ).toThrow('gradients: the result depends on none of the 1 variables.');
    expect(tf.memory().numTensors).toBe(before);
    tf.dispose([gradients, used, idle] as never);
  });

  test('leaves nothing behind when the function throws, nor when a gradient does', () => {
    const before = tf.memory().numTensors;
    const fail = (message: string): Tensor => {
      throw new Error(message);
    };
    const broken = tf.customGrad((a) => ({
      value: tf.mul(a as Tensor, 2),
      gradFunc: () => fail('no gradient today'),
    }));
    const run = (f: () => Tensor) => tf.tidy(() => void gradientsOf(f, [x!]));
    expect(() => run(() => (tf.square(x!), fail('stop')))).toThrow('stop');
    expect(() => run(() => tf.sum(broken(tf.square(x!))))).toThrow('no gradient today');
    expect(tf.memory().numTensors).toBe(before);
    expect(() => run(() => tf.sum(x!))).not.toThrow(); // the tape is in order again
  });
});

describe('gradients of a model', () => {
  test.each(tinyModels().map((tiny) => [tiny.name, tiny] as const))(
    '%s: those of tfjs, with less memory at the peak',
    async (_, tiny) => {
      const engine = await createPortableEngine({ backend: 'cpu' });
      await engine.activate();
      const model = tiny.open(engine);
      model.addAdapter('default', lora({ targets: 'all-linear', rank: 2, init: 'random' }));
      const variables = model.trainables().map(({ value }) => value);
      const loss = () =>
        tf.sum(crossEntropy(model.forward(tiny.batch).logits!, tiny.labels)) as Scalar;
      const peakOf = <T>(run: () => T): { result: T; peakBytes: number } => {
        const state = (tf.engine() as unknown as { state: { numBytes: number } }).state;
        const before = state.numBytes; // of whatever else the process holds
        let [now, peakBytes] = [before, before];
        Object.defineProperty(state, 'numBytes', {
          configurable: true,
          get: () => now,
          set: (value: number) => {
            now = value;
            peakBytes = Math.max(peakBytes, value);
          },
        });
        const result = run();
        Object.defineProperty(state, 'numBytes', {
          configurable: true,
          writable: true,
          value: now,
        });
        return { result, peakBytes: peakBytes - before };
      };
      const theirs = peakOf(() => tf.tidy(() => tf.variableGrads(loss, variables)));
      const ours = peakOf(() => tf.tidy(() => variableGradients(loss, variables)));
      expect(Object.keys(ours.result.gradients).sort()).toEqual(
        Object.keys(theirs.result.grads)
          .filter((name) => theirs.result.grads[name])
          .sort(),
      );
      for (const [name, gradient] of Object.entries(ours.result.gradients))
        expect([...gradient.dataSync()]).toEqual([...theirs.result.grads[name]!.dataSync()]);
      expect(ours.peakBytes).toBeLessThan(0.85 * theirs.peakBytes);
      tf.dispose([ours.result, theirs.result] as never);
      model.dispose();
      engine.dispose();
    },
  );
});
