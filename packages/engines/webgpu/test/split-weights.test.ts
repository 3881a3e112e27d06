import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { memorySource, type ConvertibleFormat, type FrozenWeight } from '@peft/ops';
import { seededTensor, seededValues } from '@peft/testing';
import { expect, test } from 'vitest';
import { createWebgpuEngine, type WebgpuEngine } from '../src/index.js';
import { describeOnWebgpu } from './with-driver.js';

const FORMATS: readonly ConvertibleFormat[] = ['f32', 'f16', 'bf16', 'int8', 'nf4', 'fp4'];
const [OUT, IN] = [150, 96];

/** All that is computed with a weight. */
function everything(engine: WebgpuEngine, weight: FrozenWeight): Float32Array[] {
  const [out, width] = weight.shape as [number, number];
  const x = seededTensor<Tensor2D>('x', [9, width]);
  const { y, sums } = engine.linearActivated!(x, weight, seededTensor('bias', [out]), 'gelu', true);
  return [
    engine.linear(x, weight),
    y,
    sums!,
    engine.linearInputGradient(seededTensor<Tensor2D>('dy', [9, out]), weight),
    engine.gather(weight, Int32Array.of(out - 1, 0, 77, 77)),
    engine.dequantize(weight),
  ].map((tensor: Tensor) => tensor.dataSync<'float32'>());
}

describeOnWebgpu('weights larger than a buffer can be bound', (engine) => {
  test.each(
    FORMATS.flatMap((format) => [false, true].map((transposed) => ({ format, transposed }))),
  )(
    'are split, and give the bytes of the whole one: $format, stored [in, out]: $transposed',
    async ({ format, transposed }) => {
      // the smallest pieces of it are of a few rows
      const narrow = await createWebgpuEngine({ maxBindingBytes: 4096 });
      const shape = transposed ? [IN, OUT] : [OUT, IN];
      const source = memorySource('w', shape, seededValues('split', OUT * IN));
      const options = { format, transposed, blockSize: 64, doubleQuantization: format === 'fp4' };
      engine().dispose(); // what it holds beside weights
      const before = engine().usage().memory.livingBuffers;
      const whole = engine().freeze(source, options);
      const buffers = engine().usage().memory.livingBuffers - before;
      const split = narrow.freeze(source, options);
      expect(engine().usage().memory.livingBuffers - before - buffers).toBeGreaterThan(buffers);
      const expected = tf.tidy(() => everything(engine(), whole) as never) as Float32Array[];
      const got = tf.tidy(() => everything(narrow, split) as never) as Float32Array[];
      expect(got).toEqual(expected);
      if (format === 'int8' || format === 'nf4' || format === 'fp4')
        expect(narrow.quantizedParts(split)).toEqual(engine().quantizedParts(whole));
      whole.dispose();
      split.dispose();
      engine().dispose();
      expect(engine().usage().memory.livingBuffers).toBe(before);
    },
  );

  test('a file is read a piece at a time', () => {
    const [out, width] = [3000, 1000];
    const values = seededValues('pieces', out * width);
    const whole = memorySource('w', [out, width], values);
    const asked: number[] = [];
    const weight = engine().freeze({
      ...whole,
      read: (at = 0, length = whole.byteLength) => {
        asked.push(length);
        return whole.read(at, length);
      },
    });
    expect(Math.max(...asked)).toBeLessThanOrEqual(4 * 2 ** 20);
    expect(asked.reduce((sum, length) => sum + length, 0)).toBe(4 * out * width);
    expect(
      engine()
        .gather(weight, Int32Array.of(out - 1))
        .dataSync(),
    ).toEqual(values.slice((out - 1) * width));
    weight.dispose();
  });
});
