import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { blockQuantizer } from './blockwise-8bit.js';
import { dynamicMap } from '@peft/ops';

const sha256 = (values: Float32Array): string =>
  createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex');

describe('the dynamic map', () => {
  test("is bitsandbytes' create_dynamic_map to the last bit", () => {
    // Hashes of the 256 little-endian float32 values that the Python library makes.
    expect(sha256(dynamicMap(true))).toBe(
      'e732639a65f497b4ad684bb166a4467708255edd5207757de8b8f0c7e1fda89c',
    );
    expect(sha256(dynamicMap(false))).toBe(
      '305f002cc11278fb769d13b25b9fd0c7c83c8402c40a878fe086f4039fde6398',
    );
  });

  test('has 127 negative values, zero, and 128 positive ones; unsigned starts at zero', () => {
    expect(dynamicMap(true)[127]).toBe(0);
    expect(dynamicMap(true)[255]).toBe(1);
    expect(dynamicMap(false)[0]).toBe(0);
  });
});

describe.each([true, false])('blockwise quantisation (signed: %s)', (signed) => {
  const { map, quantize } = blockQuantizer(dynamicMap(signed));

  test('gives every number of the map its own code', () => {
    const codes = new Uint8Array(256);
    expect(quantize(Float32Array.from(map), 256, codes, 0)).toBe(1);
    expect([...codes]).toEqual(Array.from({ length: 256 }, (_, i) => i));
  });

  test('finds the nearest number, also for a short block', () => {
    for (const count of [256, 77]) {
      const values = Float32Array.from(
        { length: count },
        (_, i) => Math.sin(i * 7.7 + 1) * 10 ** (-6 * (i / count)) * 3,
      );
      if (!signed) values.forEach((value, i) => (values[i] = Math.abs(value)));
      const codes = new Uint8Array(300);
      const absmax = quantize(values, count, codes, 40);
      expect(absmax).toBe(Math.max(...values.map(Math.abs)));
      values.forEach((value, i) => {
        const error = Math.abs(map[codes[40 + i]!]! * absmax - value);
        const least = Math.min(...map.map((number) => Math.abs(number * absmax - value)));
        expect(error).toBeLessThanOrEqual(least + 1e-7 * absmax);
      });
    }
  });

  test('keeps a block of zeros at zero', () => {
    const codes = new Uint8Array(256).fill(9);
    const absmax = quantize(new Float32Array(256), 256, codes, 0);
    expect(absmax).toBe(0);
    expect(new Set(codes)).toEqual(new Set([signed ? 127 : 0]));
  });
});
