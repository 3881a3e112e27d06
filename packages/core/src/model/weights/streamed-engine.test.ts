import * as tf from '@tensorflow/tfjs';
import type { Tensor1D } from '@tensorflow/tfjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { memorySource, type Engine, type TensorSource } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { seededValues } from '@peft/testing';
import { streamedEngine } from './streamed-engine.js';

const [ROWS, COLUMNS] = [7, 6];
const values = seededValues('streamed', ROWS * COLUMNS);
const x = seededValues('x', 3 * COLUMNS);
let engine: Engine;
beforeAll(async () => {
  engine = await createPortableEngine();
  await engine.activate();
});
afterAll(() => engine.dispose());

/** Tells how many bytes each read takes. */
function counted(shape: readonly number[]): { source: TensorSource; reads: number[] } {
  const plain = memorySource('w', shape, values);
  const reads: number[] = [];
  return {
    reads,
    source: {
      ...plain,
      read(offset = 0, length = plain.byteLength - offset) {
        reads.push(length);
        return plain.read(offset, length);
      },
    },
  };
}

test.each([{ transposed: false }, { transposed: true }])(
  'gives what the engine gives for a weight that it holds (%o), and holds nothing',
  ({ transposed }) => {
    const { source, reads } = counted(transposed ? [COLUMNS, ROWS] : [ROWS, COLUMNS]);
    const streamed = streamedEngine(engine, 2 * COLUMNS); // two rows at a time
    const before = tf.memory().numTensors;
    const held = engine.freeze(source, { transposed });
    const weight = streamed.freeze(source, { transposed });
    reads.length = 0;
    expect([weight.shape, weight.byteLength, weight.format]).toEqual([[ROWS, COLUMNS], 0, 'f32']);
    tf.tidy(() => {
      const input = tf.tensor2d(x, [3, COLUMNS]);
      const bias = tf.range(0, ROWS) as Tensor1D;
      const both = (use: (of: Engine, own: typeof held) => tf.Tensor) => {
        const [expected, found] = [use(engine, held), use(streamed, weight)];
        expect(found.shape).toEqual(expected.shape);
        expect([...found.dataSync()]).toEqual([...expected.dataSync()]);
      };
      both((of, own) => of.linear(input, own));
      both((of, own) => of.linear(input, own, bias));
      both((of, own) => of.linearInputGradient(tf.ones([2, ROWS]), own));
      both((of, own) => of.gather(own, Int32Array.of(4, 5, 6, 0, 2)));
      both((of, own) => of.gather(own, Int32Array.of()));
      both((of, own) => of.dequantize(own));
    });
    if (!transposed)
      expect(reads.slice(0, 4)).toEqual([2, 2, 2, 1].map((rows) => 4 * rows * COLUMNS));
    expect(() => streamed.gather(weight, Int32Array.of(0, ROWS))).toThrow(
      expect.objectContaining({ code: 'PEFT_TOKEN_ID_RANGE' }),
    );
    held.dispose();
    weight.dispose();
    expect(tf.memory().numTensors).toBe(before);
    expect(() => streamed.dequantize(weight)).toThrow(
      expect.objectContaining({ code: 'PEFT_WEIGHT_DISPOSED' }),
    );
  },
);

test('what is converted while it is read is held, and weights of others are refused', () => {
  const streamed = streamedEngine(engine);
  const { source } = counted([ROWS, COLUMNS]);
  const held = streamed.freeze(source, { format: 'bf16' });
  expect([held.format, held.engine]).toEqual(['bf16', engine]);
  expect(() => streamed.dequantize(held)).toThrow(
    expect.objectContaining({ code: 'PEFT_WEIGHT_ENGINE' }),
  );
  held.dispose();
});
