import { readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { fixtureTensors, toBeAllclose, type FixtureTensor } from '@peft/testing';
import { describe, expect, test } from 'vitest';
import { FP4, NF4 } from './code-books.js';
import { dequantizeBlockwise, dynamicMap, quantizeBlockwise } from './dynamic-map.js';
import { dequantize4Bit, quantize4Bit } from './four-bit.js';
import { dequantizeInt8Rows, quantizeInt8Rows } from './int8-rows.js';
import { expandAbsmax, nestAbsmax } from './nested-absmax.js';

expect.extend({ toBeAllclose });

// Numbers made by bitsandbytes itself; see case.json beside them.
const folder = new URL('../../../testing/fixtures/quant/', import.meta.url);
const tensors = (path: string) => fixtureTensors(new URL(`${path}.safetensors`, folder));
const vectors = JSON.parse(readFileSync(new URL('vectors/case.json', folder), 'utf8')) as {
  four_bit: {
    id: string;
    input: string;
    quant_type: 'nf4' | 'fp4';
    blocksize: number;
    double_quant: boolean;
  }[];
  eight_bit: { id: string; input: string; signed: boolean; blocksize: number }[];
};
const inputs = tensors('vectors/inputs');
const expected = tensors('vectors/expected');
const of = (map: Map<string, FixtureTensor>, name: string) => map.get(name)!;

describe('code books', () => {
  test('equal those of bitsandbytes', () => {
    const maps = tensors('maps/expected');
    expect([...Float32Array.from(NF4)]).toEqual([...of(maps, 'nf4').values()]);
    expect([...Float32Array.from(FP4)].map((value) => value + 0)).toEqual(
      [...of(maps, 'fp4').values()].map((value) => value + 0),
    ); // −0 is 0
    expect(dynamicMap(true)).toEqual(of(maps, 'dynamic_signed').values());
    expect(dynamicMap(false)).toEqual(of(maps, 'dynamic_unsigned').values());
  });

  test('the dynamic maps have the published hashes', () => {
    const sha = (map: Float32Array) =>
      createHash('sha256').update(new Uint8Array(map.buffer)).digest('hex');
    expect(sha(dynamicMap(true))).toBe(
      'e732639a65f497b4ad684bb166a4467708255edd5207757de8b8f0c7e1fda89c',
    );
    expect(sha(dynamicMap(false))).toBe(
      '305f002cc11278fb769d13b25b9fd0c7c83c8402c40a878fe086f4039fde6398',
    );
  });
});

/** FP4 has two zeros, and bitsandbytes' CPU and CUDA code choose differently. */
const withOneZero = (packed: Uint8Array) =>
  packed
    .map((byte) => (byte >> 4 === 8 ? byte & 15 : byte))
    .map((byte) => ((byte & 15) === 8 ? byte & 0xf0 : byte));

describe('4-bit weights', () => {
  test.each(vectors.four_bit)(
    '$id: codes, maxima and values are those of bitsandbytes',
    ({ id, input, quant_type: format, blocksize, double_quant: doubleQuant }) => {
      const source = of(inputs, input);
      const values = source.values();
      const { packed, absmax } = quantize4Bit(values, format, blocksize);
      const codes = of(expected, `${id}.packed`).read();
      if (format === 'fp4') expect(withOneZero(packed)).toEqual(withOneZero(codes));
      else expect(packed).toEqual(codes);
      let scales = absmax;
      if (doubleQuant) {
        const nested = nestAbsmax(absmax);
        expect(nested.codes).toEqual(of(expected, `${id}.absmax`).read());
        expect(nested.nestedAbsmax).toBeAllclose(of(expected, `${id}.nested_absmax`).values(), {
          atol: 1e-6,
          rtol: 0,
        });
        expect([nested.offset]).toBeAllclose(of(expected, `${id}.nested_offset`).values(), {
          atol: 1e-6,
          rtol: 0,
        });
        scales = expandAbsmax(nested);
      } else {
        expect(absmax).toBeAllclose(of(expected, `${id}.absmax`).values(), { atol: 1e-6, rtol: 0 });
      }
      // The expected values were rounded to the input's type: 8 bits of bfloat16, 11 of float16.
      const rtol = { BF16: 2 ** -8, F16: 2 ** -11 }[source.dtype as string] ?? 0;
      expect(dequantize4Bit(packed, scales, format, blocksize, values.length)).toBeAllclose(
        of(expected, `${id}.dequantised`).values(),
        { atol: 1e-6, rtol },
      );
    },
  );

  test('a part from the middle equals that part of the whole', () => {
    const values = of(inputs, 'odd').values();
    const { packed, absmax } = quantize4Bit(values, 'nf4', 64);
    const all = dequantize4Bit(packed, absmax, 'nf4', 64, values.length);
    expect(dequantize4Bit(packed, absmax, 'nf4', 64, 131, 65)).toEqual(all.slice(65, 196));
  });

  test('a block size that bitsandbytes does not have is refused', () => {
    expect(() => quantize4Bit(new Float32Array(8), 'nf4', 48)).toThrow(
      'blockSize must be 32, 64, 128, … 4096, got 48',
    );
  });
});

describe('dynamic 8-bit numbers', () => {
  test.each(vectors.eight_bit)(
    '$id: codes, maxima and values are those of bitsandbytes',
    ({ id, input, signed, blocksize }) => {
      const map = dynamicMap(signed);
      const { codes, absmax } = quantizeBlockwise(
        signed ? of(inputs, input).values() : of(inputs, input).values().map(Math.abs),
        map,
        blocksize,
      );
      expect(codes).toEqual(of(expected, `${id}.codes`).read());
      expect(absmax).toBeAllclose(of(expected, `${id}.absmax`).values(), { atol: 1e-6, rtol: 0 });
      expect(dequantizeBlockwise(codes, absmax, map, blocksize)).toBeAllclose(
        of(expected, `${id}.dequantised`).values(),
        { atol: 1e-6, rtol: 0 },
      );
    },
  );
});

describe('int8 rows', () => {
  test('codes, row maxima and values are those of bitsandbytes', () => {
    const weight = of(tensors('int8/inputs'), 'weight');
    const golden = tensors('int8/expected');
    const { packed, absmax } = quantizeInt8Rows(weight.values(), weight.shape[0]!);
    expect(packed).toEqual(of(golden, 'weight.int8').read());
    expect(absmax).toEqual(of(golden, 'weight.SCB').values());
    expect(dequantizeInt8Rows(packed, absmax, 40, 24)).toBeAllclose(
      of(golden, 'weight.dequantised').values(),
      { atol: 1e-6, rtol: 0 },
    );
    expect(dequantizeInt8Rows(packed, absmax, 40, 2, 5)).toBeAllclose(
      of(golden, 'weight.dequantised').values().slice(200, 280),
      { atol: 1e-6, rtol: 0 },
    );
  });
});
