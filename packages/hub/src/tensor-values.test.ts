import type { StoredDtype, TensorSource } from '@peft/ops';
import { describe, expect, test } from 'vitest';
import { errorCode } from '../test/support/error-code.js';
import { decodeValues, encodeValues, readFloat32, readTensor } from './tensor-values.js';

const source = (dtype: StoredDtype, shape: number[], bytes: Uint8Array): TensorSource => ({
  name: 'x',
  dtype,
  shape,
  byteLength: bytes.length,
  read: () => bytes,
});
const bytesOf = (view: ArrayBufferView) =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

describe('readTensor', () => {
  test('gives 64-bit integers and doubles without loss', () => {
    expect(
      readTensor(source('I64', [2], bytesOf(BigInt64Array.of(-1n, 2n ** 62n + 1n)))).values,
    ).toEqual(BigInt64Array.of(-1n, 2n ** 62n + 1n));
    expect(readTensor(source('F64', [1], bytesOf(Float64Array.of(0.1)))).values).toEqual(
      Float64Array.of(0.1),
    );
  });

  test('widens both half-precision types exactly', () => {
    // float16 0x3555 = 0.333251953125, 0x0001 = 2⁻²⁴; bfloat16 0x3eab = 0.333984375, 0x0001 = 2⁻¹³³
    expect(readTensor(source('F16', [2], bytesOf(Uint16Array.of(0x3555, 1)))).values).toEqual(
      Float32Array.of(0.333251953125, 2 ** -24),
    );
    expect(readTensor(source('BF16', [2], bytesOf(Uint16Array.of(0x3eab, 1)))).values).toEqual(
      Float32Array.of(0.333984375, 2 ** -133),
    );
  });

  test('reads bytes that are not aligned, and any true byte as 1', () => {
    const shifted = new Uint8Array(9);
    shifted.set(bytesOf(Float32Array.of(1.5, -2)), 1);
    expect(readTensor(source('F32', [2], shifted.subarray(1))).values).toEqual(
      Float32Array.of(1.5, -2),
    );
    expect(readTensor(source('BOOL', [3], Uint8Array.of(0, 1, 255))).values).toEqual(
      Uint8Array.of(0, 1, 1),
    );
  });
});

describe('readFloat32', () => {
  test.each<[StoredDtype, ArrayBufferView, number[]]>([
    ['F64', Float64Array.of(0.1, 1e300), [Math.fround(0.1), Infinity]],
    ['F32', Float32Array.of(0.5), [0.5]],
    ['F16', Uint16Array.of(0xbc00), [-1]],
    ['BF16', Uint16Array.of(0xbf80), [-1]],
    ['I64', BigInt64Array.of(-3n, 2n ** 24n + 1n), [-3, 2 ** 24]],
    ['I32', Int32Array.of(-7), [-7]],
    ['I16', Int16Array.of(-300), [-300]],
    ['I8', Int8Array.of(-128), [-128]],
    ['U8', Uint8Array.of(255), [255]],
    ['BOOL', Uint8Array.of(2, 0), [1, 0]],
  ])('converts %s to the nearest float32', (dtype, stored, expected) => {
    expect([...readFloat32(source(dtype, [expected.length], bytesOf(stored)))]).toEqual(expected);
  });
});

describe('encodeValues', () => {
  test('is the inverse of decodeValues, and rounds float32 for the narrower floats', () => {
    const values = Float32Array.of(0.1, -3, 70000);
    expect(decodeValues('F32', encodeValues('F32', values))).toEqual(values);
    expect(decodeValues('F64', encodeValues('F64', values))).toEqual(Float64Array.from(values));
    expect(decodeValues('F16', encodeValues('F16', values))).toEqual(
      Float32Array.of(0.0999755859375, -3, Infinity),
    );
    expect(decodeValues('BF16', encodeValues('BF16', values))).toEqual(
      Float32Array.of(0.10009765625, -3, 70144),
    ); // steps of 512 above 65536
  });

  test('refuses an array of another type', async () => {
    expect(await errorCode(() => encodeValues('I64', Int32Array.of(1)))).toBe('PEFT_TENSOR_DTYPE');
    expect(await errorCode(() => encodeValues('F32', Float64Array.of(1)))).toBe(
      'PEFT_TENSOR_DTYPE',
    );
    expect(await errorCode(() => encodeValues('U8', Float32Array.of(1)))).toBe('PEFT_TENSOR_DTYPE');
  });
});
