import { dequantize4Bit, expandAbsmax, memorySource, type TensorSource } from '@peft/ops';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../../test/support/memory-tensors.js';
import { errorOf } from '../../../test/support/error-code.js';
import { fixturePath, temporaryFolder } from '../../../test/support/paths.js';
import { openCheckpoint } from '../../safetensors/open-checkpoint.js';
import { writeSafetensors } from '../../safetensors/write-safetensors.js';
import { readFloat32 } from '../../tensor-values.js';
import type { QuantizedSource } from '../quantized-form.js';
import { storedForm } from '../quantized-forms.js';
import { quantizedStore } from '../quantized-store.js';
import { bitsAndBytesConfigJson } from './quantization-config.js';
import { quantizedTensors } from './quantized-tensors.js';

const CONFIG = { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_quant_type: 'nf4' };
const WEIGHT = 'model.layers.0.mlp.down_proj.weight';

type Quantized = { quantized(name: string): QuantizedSource | undefined };
type Change = (sources: Map<string, TensorSource>) => void;

/** The tensors of a golden checkpoint, some of them exchanged. */
function altered(checkpoint: string, change: Change): Quantized {
  const store = openCheckpoint(fixturePath(`quant/${checkpoint}`));
  const sources = new Map(store.names().map((name) => [name, store.get(name)!]));
  change(sources);
  return quantizedStore(
    { names: () => sources.keys(), get: (name) => sources.get(name) },
    CONFIG,
  ) as unknown as Quantized;
}

describe('a 4-bit checkpoint', () => {
  test('gives weights whose values are those of bitsandbytes, with quantised block maxima and without', () => {
    for (const [checkpoint, format] of [
      ['llama_nf4_dq', 'nf4'],
      ['mistral_fp4', 'fp4'],
    ] as const) {
      const store = altered(checkpoint, () => undefined);
      const expected = openCheckpoint(fixturePath(`quant/${checkpoint}/expected.safetensors`)).get(
        `dequantised.${WEIGHT}`,
      )!;
      const source = store.quantized(WEIGHT)!;
      expect(source.format).toBe(format);
      expect(source.shape).toEqual(expected.shape);
      const { packed, absmax, blockSize } = source.read();
      const scales = absmax instanceof Float32Array ? absmax : expandAbsmax(absmax);
      const values = dequantize4Bit(
        packed,
        scales,
        format,
        blockSize!,
        expected.shape[0]! * expected.shape[1]!,
      );
      readFloat32(expected).forEach((value, i) =>
        expect(Math.abs(values[i]! - value)).toBeLessThan(1e-6),
      ); // the case's tolerance
      expect(store.quantized('model.norm.weight')).toBeUndefined();
      expect(store.quantized('no.such.weight')).toBeUndefined();
    }
  });

  test('may store its codes under any dtype', () => {
    for (const [dtype, size] of [
      ['BF16', 2],
      ['F16', 2],
      ['F32', 4],
    ] as const) {
      const plain = altered('mistral_fp4', () => undefined)
        .quantized(WEIGHT)!
        .read().packed;
      const store = altered('mistral_fp4', (sources) =>
        sources.set(WEIGHT, bytesSource(WEIGHT, dtype, [plain.length / size, 1], plain)),
      );
      expect(store.quantized(WEIGHT)!.read().packed).toEqual(plain);
    }
  });

  const stateName = `${WEIGHT}.quant_state.bitsandbytes__nf4`;
  const withState =
    (text: string): Change =>
    (sources) =>
      sources.set(
        stateName,
        bytesSource(stateName, 'U8', [text.length], new TextEncoder().encode(text)),
      );
  const state = (fields: object) =>
    withState(
      JSON.stringify({
        quant_type: 'nf4',
        blocksize: 64,
        dtype: 'float32',
        shape: [64, 96],
        nested_blocksize: 256,
        nested_dtype: 'float32',
        nested_offset: 0.1,
        ...fields,
      }),
    );
  const without =
    (suffix: string): Change =>
    (sources) =>
      void sources.delete(`${WEIGHT}.${suffix}`);
  const floats =
    (suffix: string, values: number[]): Change =>
    (sources) =>
      void sources.set(
        `${WEIGHT}.${suffix}`,
        memorySource(`${WEIGHT}.${suffix}`, [values.length], Float32Array.from(values)),
      );

  test.each<[string, Change, string]>([
    ['a state that is no JSON', withState('{"quant_type": "nf4",'), 'quant_state is not JSON'],
    [
      'a state that names a key twice',
      withState('{"quant_type": "nf4", "quant_type": "nf4"}'),
      'quant_state is not JSON',
    ],
    ['a state that is a list', withState('[1]'), 'quant_state is not an object'],
    [
      'a state of two axes',
      (sources) =>
        void sources.set(stateName, bytesSource(stateName, 'U8', [1, 2], new Uint8Array(2))),
      'a quant_state is a list of at most 65536 bytes, got U8 [1, 2]',
    ],
    [
      'another type than the name says',
      state({ quant_type: 'fp4' }),
      'quant_type is "fp4", its name says nf4',
    ],
    [
      'a shape of three axes',
      state({ shape: [2, 32, 96] }),
      'shape must be two sizes, got [2,32,96]',
    ],
    ['a shape that overflows', state({ shape: [2 ** 40, 2 ** 40] }), 'shape must be two sizes'],
    ['a negative size', state({ shape: [-64, 96] }), 'shape must be two sizes'],
    [
      'a shape of more elements than there are codes',
      state({ shape: [64, 98] }),
      '3072 bytes, expected 3136 for [64, 98] in 4 bits',
    ],
    ['a shape of fewer elements', state({ shape: [64, 94] }), '3072 bytes, expected 3008'],
    [
      'a block size that is no power of two',
      state({ blocksize: 48 }),
      'blocksize must be 32, 64, 128, … 4096, got 48',
    ],
    [
      'a block size with other numbers of maxima',
      state({ blocksize: 128 }),
      'U8 [96], expected U8 [48]',
    ],
    [
      'a nested block size of 0',
      state({ nested_blocksize: 0 }),
      'nested_blocksize must be a positive integer, got 0',
    ],
    [
      'an offset that is text',
      state({ nested_offset: '1' }),
      'nested_offset must be a number, got "1"',
    ],
    ['no maxima', without('absmax'), 'it is missing'],
    ['no nested maxima', without('nested_absmax'), 'it is missing'],
    ['no state', without('quant_state.bitsandbytes__nf4'), 'it is packed, and there is no'],
    [
      'a nested maximum that is not finite',
      floats('nested_absmax', [Number.NaN]),
      'value 0 is NaN',
    ],
    [
      'another table of values',
      floats(
        'quant_map',
        Array.from({ length: 16 }, (_, i) => i / 16),
      ),
      'code 0 stands for 0, in nf4 it is -1',
    ],
  ])('is refused with %s', async (_, change, message) => {
    const error = await errorOf(() => altered('llama_nf4_dq', change).quantized(WEIGHT)!.read());
    expect(error.code).toBe('PEFT_QUANTIZED_PARTS');
    expect(error.message).toContain(message);
    expect(error.message).toContain(WEIGHT);
  });
});

describe('an int8 checkpoint', () => {
  const module = WEIGHT.replace(/\.weight$/, '');
  test('is read with its row maxima', () => {
    const { packed, absmax, shape } = altered('llama_int8', () => undefined)
      .quantized(WEIGHT)!
      .read();
    expect(shape).toEqual([64, 96]);
    expect(packed.length).toBe(64 * 96);
    expect((absmax as Float32Array).length).toBe(64);
  });

  test.each<[string, Change, string]>([
    ['no row maxima', (sources) => void sources.delete(`${module}.SCB`), 'it is missing'],
    [
      'too few row maxima',
      (sources) => void sources.set(`${module}.SCB`, memorySource('x', [3], new Float32Array(3))),
      'F32 [3], expected F32 [64]',
    ],
    [
      "a graphics card's layout",
      (sources) =>
        void sources.set(`${module}.weight_format`, bytesSource('x', 'U8', [], Uint8Array.of(2))),
      'its weight_format is 2',
    ],
  ])('is refused with %s', async (_, change, message) => {
    const error = await errorOf(() => altered('llama_int8', change).quantized(WEIGHT)!.read());
    expect(error.code).toBe('PEFT_QUANTIZED_PARTS');
    expect(error.message).toContain(message);
  });
});

describe('quantization_config', () => {
  test('of another method is refused by name', async () => {
    const error = await errorOf(() => storedForm({ quant_method: 'aqlm', bits: 4 }));
    expect(error.code).toBe('PEFT_QUANTIZATION_METHOD');
    expect(error.message).toContain('"aqlm"');
  });

  test.each([
    [7],
    [{ quant_method: 'bitsandbytes' }],
    [{ ...CONFIG, load_in_8bit: true }],
    [{ ...CONFIG, bnb_4bit_quant_type: 'int4' }],
    [{ ...CONFIG, load_in_4bit: 'yes' }],
    [{ ...CONFIG, llm_int8_skip_modules: 'lm_head' }],
  ])('%j is refused', async (json) => {
    expect((await errorOf(() => storedForm(json))).code).toBe('PEFT_QUANTIZATION_CONFIG');
  });

  test('absent leaves a checkpoint as it is', () => {
    const store = openCheckpoint(fixturePath('quant/llama_int8'));
    expect(quantizedStore(store, undefined)).toBe(store);
    expect(quantizedStore(store, null)).toBe(store);
    store.close();
  });

  test('of early files names no method', () => {
    expect(storedForm({ load_in_8bit: true })).toEqual({
      format: 'int8',
      doubleQuantization: false,
      skipModules: [],
    });
  });

  test('is understood as it was written', () => {
    for (const config of [
      { format: 'nf4', doubleQuantization: true, skipModules: [] },
      { format: 'fp4', doubleQuantization: false, skipModules: ['lm_head', 'model.layers.1.mlp'] },
      { format: 'int8', doubleQuantization: false, skipModules: [] },
    ] as const) {
      expect(storedForm(bitsAndBytesConfigJson(config, 'bfloat16'))).toEqual(config);
    }
  });
});

test('parts that are written are the same when they are read', async () => {
  const folder = temporaryFolder();
  for (const checkpoint of ['llama_nf4_dq', 'mistral_fp4', 'llama_int8']) {
    const parts = altered(checkpoint, () => undefined)
      .quantized(WEIGHT)!
      .read();
    await writeSafetensors(join(folder, 'model.safetensors'), quantizedTensors(parts, 'bfloat16'));
    const store = openCheckpoint(folder);
    expect(
      (quantizedStore(store, CONFIG) as unknown as Quantized).quantized(WEIGHT)!.read(),
    ).toEqual(parts);
    store.close();
  }
});
