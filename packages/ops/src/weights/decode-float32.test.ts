import { expect, test } from 'vitest';
import type { StoredDtype } from './tensor-source.js';
import { decodeFloat32, encodeBfloat16, encodeFloat16 } from './decode-float32.js';

const bytesOf = (words: ArrayBufferView) =>
  new Uint8Array(words.buffer, words.byteOffset, words.byteLength);

test('each stored type gives its values', () => {
  const cases = [
    ['F32', Float32Array.of(1.5, -2)],
    ['F64', Float64Array.of(1.5, -2)],
    ['I32', Int32Array.of(7, -2)],
    ['I16', Int16Array.of(7, -2)],
    ['I8', Int8Array.of(7, -2)],
    ['U8', Uint8Array.of(7, 255)],
    ['BOOL', Uint8Array.of(0, 1)],
  ] as const;
  for (const [dtype, words] of cases)
    expect([...decodeFloat32(bytesOf(words), dtype)], dtype).toEqual([...words]);
});

test('float16: every pattern survives decoding and encoding, and the ends have their IEEE 754 values', () => {
  const words = Uint16Array.from({ length: 65536 }, (_, word) => word);
  const values = decodeFloat32(bytesOf(words), 'F16');
  expect(
    [0x0001, 0x03ff, 0x0400, 0x3c00, 0x7bff, 0x7c00, 0xfc00].map((word) => values[word]),
  ).toEqual([2 ** -24, 1023 * 2 ** -24, 2 ** -14, 1, 65504, Infinity, -Infinity]);
  const back = encodeFloat16(values);
  for (let word = 0; word < 65536; word += 1) {
    if (Number.isNaN(values[word]!))
      expect(Number.isNaN(decodeFloat32(bytesOf(back.slice(word, word + 1)), 'F16')[0]!)).toBe(
        true,
      );
    else if (back[word] !== word)
      throw new Error(`float16 word ${word} came back as ${back[word]}`);
  }
});

test('8-bit floats: the ends of each type have the values of its definition', () => {
  const values = (dtype: StoredDtype, ...codes: number[]) => [
    ...decodeFloat32(Uint8Array.from(codes), dtype),
  ];
  // OCP 8-bit floating point specification, table 2; Microscaling formats, section 5.4.1
  expect(values('F8_E4M3', 0x00, 0x80, 0x01, 0x07, 0x08, 0x7e, 0xfe, 0x7f, 0xff)).toEqual([
    0,
    -0,
    2 ** -9,
    7 * 2 ** -9,
    2 ** -6,
    448,
    -448,
    NaN,
    NaN,
  ]);
  expect(values('F8_E5M2', 0x01, 0x03, 0x04, 0x7b, 0xfb, 0x7c, 0xfc, 0x7d, 0xff)).toEqual([
    2 ** -16,
    3 * 2 ** -16,
    2 ** -14,
    57344,
    -57344,
    Infinity,
    -Infinity,
    NaN,
    NaN,
  ]);
  expect(values('F8_E8M0', 0, 127, 128, 254, 255)).toEqual([2 ** -127, 1, 2, 2 ** 127, NaN]);
});

test('float16 and bfloat16 round to the nearest, ties to even', () => {
  const ulp = 2 ** -10;
  expect([
    ...decodeFloat32(
      bytesOf(
        encodeFloat16(
          Float32Array.of(
            1 + ulp / 2,
            1 + 1.5 * ulp,
            1 + 0.6 * ulp,
            65519,
            65520,
            2 ** -25,
            1.5 * 2 ** -24,
          ),
        ),
      ),
      'F16',
    ),
  ]).toEqual([1, 1 + 2 * ulp, 1 + ulp, 65504, Infinity, 0, 2 * 2 ** -24]);
  const step = 2 ** -7;
  expect([
    ...decodeFloat32(
      bytesOf(encodeBfloat16(Float32Array.of(1 + step / 2, 1 + 1.5 * step, -3.4e38, Number.NaN))),
      'BF16',
    ),
  ]).toEqual([1, 1 + 2 * step, -Infinity, Number.NaN]);
});

test('bytes at an odd place are read, also from a Node buffer', () => {
  const file = Buffer.concat([Buffer.from([9]), Buffer.from(bytesOf(Float32Array.of(3, 4)))]);
  expect([...decodeFloat32(file.subarray(1), 'F32')]).toEqual([3, 4]);
});

test('bytes that are cut short and 64-bit integers are refused', () => {
  expect(() => decodeFloat32(new Uint8Array(5), 'F32')).toThrow(
    'a tensor of type F32 has 5 bytes, no multiple of 4',
  );
  expect(() => decodeFloat32(new Uint8Array(8), 'I64')).toThrow(
    expect.objectContaining({ code: 'PEFT_TENSOR_DTYPE' }),
  );
});
