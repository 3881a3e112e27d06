/**
 * Frozen weights: bitsandbytes' own numbers, files in place, every way of reading one back, and
 * what happens when freed.
 */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fixtureTensors, toBeAllclose, type FixtureTensor } from '@peft/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeEachSet, randomFloats } from './addon.js';

expect.extend({ toBeAllclose });

const folder = new URL('../../../testing/fixtures/quant/', import.meta.url);
const tensors = (path: string) => fixtureTensors(new URL(`${path}.safetensors`, folder));
const cases = (
  JSON.parse(readFileSync(new URL('vectors/case.json', folder), 'utf8')) as {
    four_bit: {
      id: string;
      input: string;
      quant_type: 'nf4' | 'fp4';
      blocksize: number;
      double_quant: boolean;
    }[];
  }
).four_bit;
const inputs = tensors('vectors/inputs');
const expected = tensors('vectors/expected');
const maps = tensors('maps/expected');
const of = (map: Map<string, FixtureTensor>, name: string) => map.get(name)!;
const stored = { F32: 'f32', F16: 'f16', BF16: 'bf16' } as const;
/**
 * FP4 has two zeros, codes 0 and 8, between which bitsandbytes' CPU and CUDA code choose
 * differently.
 */
const oneZero = (packed: Uint8Array) =>
  packed
    .map((byte) => (byte >> 4 === 8 ? byte & 15 : byte))
    .map((byte) => ((byte & 15) === 8 ? byte & 0xf0 : byte));

describeEachSet('a frozen weight', (native, set) => {
  const scratch = mkdtempSync(join(tmpdir(), 'peft-weights-'));
  beforeAll(() => native.setInstructionSet(set));
  afterAll(() => rmSync(scratch, { recursive: true }));

  test.each(cases)(
    'quantised as $id has the codes, maxima and values of bitsandbytes',
    ({ id, input, quant_type: format, blocksize, double_quant: double }) => {
      const source = of(inputs, input);
      const [rows, columns] = [source.shape[0]!, source.shape[1] ?? 1];
      const plain = native.weightFromBytes(
        source.read(),
        stored[source.dtype as keyof typeof stored],
        rows,
        columns,
        false,
      );
      const weight = native.weightConvert(plain, format, blocksize, double);
      const parts = native.weightParts(weight);
      const packed = of(expected, `${id}.packed`).read();
      expect(format === 'fp4' ? oneZero(parts.packed) : parts.packed).toEqual(
        format === 'fp4' ? oneZero(packed) : packed,
      );
      if (double) {
        expect(parts.absmaxCodes).toEqual(of(expected, `${id}.absmax`).read());
        expect(parts.nestedMap).toEqual(of(maps, 'dynamic_signed').values());
        expect(parts.nestedAbsmax!).toBeAllclose(of(expected, `${id}.nested_absmax`).values(), {
          atol: 1e-6,
          rtol: 0,
        });
        expect([parts.nestedOffset!]).toBeAllclose(of(expected, `${id}.nested_offset`).values(), {
          atol: 1e-6,
          rtol: 0,
        });
      } else {
        expect(parts.absmax!).toBeAllclose(of(expected, `${id}.absmax`).values(), {
          atol: 1e-6,
          rtol: 0,
        });
      }
      const values = new Float32Array(rows * columns);
      native.weightDequantize(weight, values);
      // the expected values were rounded to the input's type
      const rtol = { BF16: 2 ** -8, F16: 2 ** -11 }[source.dtype as string] ?? 0;
      expect(values).toBeAllclose(of(expected, `${id}.dequantised`).values(), { atol: 1e-6, rtol });
      const again = native.weightFromParts(
        format,
        rows,
        columns,
        false,
        blocksize,
        parts.packed,
        parts.absmax ?? null,
        parts.absmaxCodes ?? null,
        parts.nestedMap ?? null,
        parts.nestedAbsmax ?? null,
        parts.nestedBlockSize ?? 0,
        parts.nestedOffset ?? 0,
        null,
      );
      const same = new Float32Array(rows * columns);
      native.weightDequantize(again, same);
      expect(same).toEqual(values);
      for (const handle of [plain, weight, again]) native.weightFree(handle);
    },
  );

  test('quantised to int8 has the codes and row maxima of LLM.int8()', () => {
    const weight = of(tensors('int8/inputs'), 'weight');
    const golden = tensors('int8/expected');
    const plain = native.weightFromBytes(
      weight.read(),
      stored[weight.dtype as keyof typeof stored],
      weight.shape[0]!,
      weight.shape[1]!,
      false,
    );
    const int8 = native.weightConvert(plain, 'int8', 64, false);
    const parts = native.weightParts(int8);
    expect(parts.packed).toEqual(of(golden, 'weight.int8').read());
    expect(parts.absmax).toEqual(of(golden, 'weight.SCB').values());
    const values = new Float32Array(weight.shape[0]! * weight.shape[1]!);
    native.weightDequantize(int8, values);
    expect(values).toBeAllclose(of(golden, 'weight.dequantised').values(), { atol: 1e-6, rtol: 0 });
    for (const handle of [plain, int8]) native.weightFree(handle);
  });

  test('gives rows, plain and from a transposed one, in every format', () => {
    const [rows, columns] = [37, 45];
    for (const transposed of [false, true]) {
      const source = native.weightFromBytes(
        new Uint8Array(randomFloats(rows * columns, 1).buffer),
        'f32',
        rows,
        columns,
        transposed,
      );
      for (const format of [
        'f32',
        'f16',
        'bf16',
        'nf4',
        'fp4',
        ...(transposed ? [] : ['int8' as const]),
      ] as const) {
        const weight = native.weightConvert(source, format, 32, true);
        expect(native.weightInfo(weight)).toMatchObject({
          format,
          rows,
          columns,
          transposed,
          mapped: false,
        });
        const all = new Float32Array(rows * columns);
        native.weightDequantize(weight, all);
        const ids = Int32Array.of(36, 0, 7, 7);
        const out = new Float32Array(ids.length * columns);
        native.weightGather(weight, ids, out);
        ids.forEach((id, i) =>
          expect(out.subarray(i * columns, (i + 1) * columns)).toEqual(
            all.subarray(id * columns, (id + 1) * columns),
          ),
        );
        native.weightFree(weight);
      }
      native.weightFree(source);
    }
  });

  test('lies in its file, at any offset, and is refused when the file is too short or absent', () => {
    const values = randomFloats(24, 3);
    const path = join(scratch, 'weight é.bin');
    writeFileSync(path, Buffer.concat([Buffer.alloc(4099), Buffer.from(values.buffer)]));
    const misaligned = native.weightFromFile(path, 4099, 'f32', 4, 6, false);
    expect(native.weightInfo(misaligned).mapped).toBe(false); // copied: numbers are read at their own alignment
    writeFileSync(path, Buffer.concat([Buffer.alloc(4100), Buffer.from(values.buffer)]));
    const weight = native.weightFromFile(path, 4100, 'f32', 4, 6, true);
    expect(native.weightInfo(weight)).toMatchObject({ mapped: true, byteLength: 96 });
    const out = new Float32Array(24);
    native.weightDequantize(misaligned, out);
    expect(out).toEqual(values);
    native.weightDequantize(weight, out);
    expect(out).toEqual(values.map((_, i) => values[(i % 6) * 4 + Math.floor(i / 6)]!));
    for (const handle of [weight, misaligned]) native.weightFree(handle);
    truncateSync(path, 4196 - 1);
    const code = expect.objectContaining({ code: 'PEFT_NATIVE_FILE' });
    expect(() => native.weightFromFile(path, 4100, 'f32', 4, 6, true)).toThrow(code);
    expect(() => native.weightFromFile(join(scratch, 'absent'), 0, 'f32', 4, 6, true)).toThrow(
      code,
    );
    expect(() => native.weightFromFile(scratch, 0, 'f32', 4, 6, true)).toThrow(code);
  });

  test('that was freed is refused, and may be freed again', () => {
    const weight = native.weightFromBytes(new Uint8Array(16), 'f32', 2, 2, false);
    native.weightFree(weight);
    native.weightFree(weight);
    expect(() => native.weightInfo(weight)).toThrow('native: weightInfo: the weight was freed.');
    expect(() =>
      native.linear(weight, new Float32Array(2), null, new Float32Array(2), 1, true),
    ).toThrow(expect.objectContaining({ code: 'PEFT_NATIVE_ARGUMENT' }));
  });

  test('converts to 16 bits and back to the nearest even', () => {
    const values = Float32Array.of(
      1,
      1.00390625,
      1.01171875,
      65504,
      65520,
      1e-7,
      6e-8,
      -0,
      Infinity,
      NaN,
      3e-5,
      ...randomFloats(40, 5, 100),
    );
    const bytes = new Uint8Array(values.length * 2);
    const back = new Float32Array(values.length);
    native.encode('bf16', values, bytes, values.length);
    native.decode('bf16', bytes, back, values.length);
    expect(Array.from(back.subarray(0, 3))).toEqual([1, 1, 1.015625]);
    expect(back[9]).toBeNaN();
    native.encode('f16', values, bytes, values.length);
    native.decode('f16', bytes, back, values.length);
    expect(Array.from(back.subarray(3, 9))).toEqual([
      65504,
      Infinity,
      2 * 2 ** -24,
      2 ** -24,
      -0,
      Infinity,
    ]);
    values
      .subarray(11)
      .forEach((value, i) =>
        expect(Math.abs(back[11 + i]! - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -11),
      );
  });
});
