import * as tf from '@tensorflow/tfjs';
import { memorySource } from '@peft/ops';
import { describeEngine, seededValues } from '@peft/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { createPortableEngine } from './portable-engine.js';

describeEngine('portable on wasm', () => createPortableEngine({ backend: 'wasm' }));
describeEngine('portable on cpu', () => createPortableEngine({ backend: 'cpu' }));

describe('createPortableEngine', () => {
  afterAll(async () => {
    await tf.setBackend('cpu');
  });

  test('runs on wasm by default, says so, and leaves the current backend alone until activated', async () => {
    await tf.setBackend('cpu');
    const engine = await createPortableEngine();
    expect(engine.description).toMatch(/^portable \(wasm.*float32\)$/);
    expect(tf.getBackend()).toBe('cpu');
    await engine.activate();
    expect(tf.getBackend()).toBe('wasm');
  });

  test('refuses a backend and an option it does not know', async () => {
    await expect(createPortableEngine({ backend: 'webgl' as 'wasm' })).rejects.toThrow(
      'backend must be one of wasm, cpu, got "webgl"',
    );
    await expect(createPortableEngine({ backnd: 'cpu' } as object)).rejects.toThrow(
      /Did you mean "backend"/,
    );
  });

  test(
    'holds one matrix per plain weight from its first product on, none for a quantised ' +
      'one, and frees it',
    async () => {
      const engine = await createPortableEngine();
      await engine.activate();
      const before = tf.memory().numTensors;
      const plain = engine.freeze(memorySource('a', [6, 4], seededValues('a', 24)), {
        format: 'bf16',
      });
      const packed = engine.freeze(memorySource('b', [6, 4], seededValues('b', 24)), {
        format: 'nf4',
      });
      expect(tf.memory().numTensors).toBe(before);
      tf.tidy(() => {
        for (const weight of [plain, packed])
          for (let i = 0; i < 3; i += 1) engine.linear(tf.ones([2, 4]), weight);
      });
      expect(tf.memory().numTensors).toBe(before + 1);
      plain.dispose();
      packed.dispose();
      expect(tf.memory().numTensors).toBe(before);
    },
  );

  test('a tied embedding can be read and multiplied in any order', async () => {
    const engine = await createPortableEngine();
    await engine.activate();
    const values = seededValues('tied', 15);
    for (const readFirst of [true, false]) {
      tf.tidy(() => {
        const weight = engine.freeze(memorySource('tied', [5, 3], values));
        const read = () =>
          expect([...engine.gather(weight, Int32Array.of(4, 1)).dataSync()]).toEqual([
            ...values.slice(12, 15),
            ...values.slice(3, 6),
          ]);
        const multiply = () =>
          expect([...engine.linear(tf.tensor2d([[1, 0, 0]]), weight).dataSync()]).toEqual(
            [0, 3, 6, 9, 12].map((i) => values[i]),
          );
        for (const use of readFirst ? [read, multiply, read] : [multiply, read, multiply]) use();
        weight.dispose();
      });
    }
  });

  test('a weight of another engine is refused', async () => {
    const [ours, theirs] = [await createPortableEngine(), await createPortableEngine()];
    const weight = theirs.freeze(memorySource('w', [2, 2], Float32Array.of(1, 2, 3, 4)));
    expect(() => ours.dequantize(weight)).toThrow(
      expect.objectContaining({ code: 'PEFT_WEIGHT_ENGINE' }),
    );
    weight.dispose();
  });
});
