import { readFileSync } from 'node:fs';
import { quantizedRows, type StoredDtype } from '@peft/ops';
import { describe, expect, test } from 'vitest';
import { bytesSource, storeOfSources } from '../../test/support/memory-tensors.js';
import { errorOf } from '../../test/support/error-code.js';
import { readFloat32 } from '../tensor-values.js';
import { storedForm } from './quantized-forms.js';
import { quantizedStore, type QuantizedStore } from './quantized-store.js';

interface StoredTensor {
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly data: string;
}
interface FormCase {
  readonly config: object;
  readonly tensors: Readonly<Record<string, StoredTensor>>;
  readonly name: string;
  readonly values: StoredTensor;
}

const readCases = (file: string) =>
  JSON.parse(readFileSync(new URL(`../../test/${file}`, import.meta.url), 'utf8')) as Readonly<
    Record<string, FormCase>
  >;

/** What transformers, hqq and torchao read, see tools/cases/make_*_cases.py. */
const cases = {
  ...readCases('form-cases.json'),
  ...readCases('hqq-cases.json'),
  ...readCases('torchao-cases.json'),
};

const source = (name: string, { dtype, shape, data }: StoredTensor) =>
  bytesSource(name, dtype, shape, Buffer.from(data, 'base64'));

const openCase = ({ config, tensors }: FormCase) =>
  quantizedStore(
    storeOfSources(Object.entries(tensors).map(([name, stored]) => source(name, stored))),
    config,
  );

describe.each(Object.entries(cases))('%s', (_, form) => {
  test('gives the values of the reference, whole and in any part', async () => {
    const { name } = form;
    const store = openCase(form);
    const found = store.get(name)!;
    const expected = source(name, form.values);
    expect([...store.names()]).toEqual([name]);
    expect([found.dtype, found.shape]).toEqual([expected.dtype, expected.shape]);
    expect(found.read()).toEqual(expected.read());
    const { byteLength } = expected;
    for (const [start, length] of [
      [6, byteLength - 10],
      [byteLength / 2, 2],
      [byteLength - 4, 4],
      [3, 0],
    ] as const)
      expect(found.read(start, length)).toEqual(expected.read(start, length));
    expect((await errorOf(() => found.read(0, byteLength + 1))).code).toBe('PEFT_TENSOR_RANGE');
  });
});

type Change = (tensors: Record<string, StoredTensor>) => void;

/** The message where a case's tensors are changed, or its settings are others. */
async function refusal(form: string, change: Change, config?: object): Promise<string> {
  const changed = structuredClone(cases[form]!) as FormCase & {
    tensors: Record<string, StoredTensor>;
  };
  change(changed.tensors);
  const error = await errorOf(() =>
    openCase({ ...changed, config: config ?? changed.config })
      .get(changed.name)
      ?.read(),
  );
  return `${error.code} ${error.message.split('\n')[0]}`;
}

const reshaped =
  (name: string, shape: readonly number[], dtype?: StoredDtype): Change =>
  (tensors) => {
    const found = tensors[name]!;
    const bytes = Buffer.alloc(
      shape.reduce((product, size) => product * size, 4),
      1,
    );
    tensors[name] = { dtype: dtype ?? found.dtype, shape, data: bytes.toString('base64') };
  };
const without =
  (name: string): Change =>
  (tensors) =>
    void delete tensors[name];

describe('8-bit floats', () => {
  const scale = 'w.weight_scale_inv';

  test('are refused without their scales, or with scales of other blocks', async () => {
    expect(await refusal('fp8 blocks', without(scale))).toBe(
      'PEFT_QUANTIZED_PARTS hub: w.weight_scale_inv: it is missing.',
    );
    expect(await refusal('fp8 blocks', reshaped(scale, [5, 2]))).toBe(
      'PEFT_QUANTIZED_PARTS hub: w.weight_scale_inv: [5, 2] does not go with w.weight [24, 32] in blocks of 8 × 16.',
    );
    expect(await refusal('fp8 blocks', reshaped(scale, [0, 2]))).toContain('does not go with');
    expect(await refusal('fp8 blocks', reshaped(scale, [1, 3, 2]))).toContain('does not go with');
    expect(await refusal('fp8 rows', reshaped('w.weight', [60]))).toContain(
      'an 8-bit weight has two or three axes, got [60]',
    );
  });

  test('are refused where a scale is no number, and where a plain tensor has one', async () => {
    expect(
      await refusal('fp8 all', (tensors) => {
        tensors[scale] = { ...tensors[scale]!, data: Buffer.of(0, 0, 192, 127).toString('base64') };
      }),
    ).toBe('PEFT_QUANTIZED_PARTS hub: w.weight_scale_inv: value 0 is NaN.');
    expect(await refusal('fp8 all', reshaped('w.weight', [6, 10], 'I8'))).toBe(
      'PEFT_QUANTIZED_PARTS hub: w.weight: it has w.weight_scale_inv and is I8, not an 8-bit float.',
    );
  });

  test('take scales of cut blocks at the ends, as DeepSeek has them', () => {
    const weight = new Uint8Array(5 * 3).fill(0x38); // 1
    const store = quantizedStore(
      storeOfSources([
        bytesSource('w.weight', 'F8_E4M3', [5, 3], weight),
        bytesSource('w.weight_scale_inv', 'F32', [3, 2], Float32Array.of(1, 2, 3, 4, 5, 6)),
      ]),
      { quant_method: 'fp8', weight_block_size: [2, 2] },
    );
    expect([...readFloat32(store.get('w.weight')!)]).toEqual([
      1, 1, 2, 1, 1, 2, 3, 3, 4, 3, 3, 4, 5, 5, 6,
    ]);
  });

  test('without a config that says so are refused where they have scales', async () => {
    const { tensors } = cases['fp8 rows']!;
    const store = storeOfSources(Object.entries(tensors).map(([name, each]) => source(name, each)));
    expect((await errorOf(() => quantizedStore(store, undefined))).message).toContain(
      'w.weight: it is F8_E4M3 and has w.weight_scale_inv, and config.json has no quantization_config',
    );
  });

  test.each([
    ['weight_block_size must be two positive integers, got [128]', { weight_block_size: [128] }],
    ['weight_block_size must be two positive integers', { weight_block_size: [128, -1] }],
    ['fmt must be one of "e4m3", "e5m2", got "e3m4"', { fmt: 'e3m4' }],
    ['scale_fmt must be one of "float", "ue8m0", got "int"', { scale_fmt: 'int' }],
    ['modules_to_not_convert must be a list of module names', { modules_to_not_convert: [1] }],
  ])('refuse the settings: %s', async (message, settings) => {
    expect(
      await refusal('fp8 all', () => undefined, { quant_method: 'fp8', ...settings }),
    ).toContain(`PEFT_QUANTIZATION_CONFIG hub: quantization_config: ${message}`);
  });
});

describe('MXFP4', () => {
  const [blocks, scales] = ['experts.gate_up_proj_blocks', 'experts.gate_up_proj_scales'] as const;

  test('is refused with parts that are missing or of other shapes', async () => {
    expect(await refusal('mxfp4', without(blocks))).toContain(`${blocks}: it is missing`);
    expect(await refusal('mxfp4', without(scales))).toContain(`${scales}: it is missing`);
    expect(await refusal('mxfp4', reshaped(blocks, [2, 6, 48]))).toContain(
      'it is [2, 6, 48], not [experts, rows, blocks, 16]',
    );
    expect(await refusal('mxfp4', reshaped(scales, [2, 6, 4]))).toContain(
      'U8 [2, 6, 4], expected [2, 6, 3]',
    );
    expect(await refusal('mxfp4', reshaped(scales, [2, 6, 3], 'F32'))).toContain('expected U8');
  });

  test('is refused where an exponent stands for no number', async () => {
    expect(
      await refusal('mxfp4', (tensors) => {
        const found = tensors[scales]!;
        const bytes = Buffer.from(found.data, 'base64').fill(255, 7, 8);
        tensors[scales] = { ...found, data: bytes.toString('base64') };
      }),
    ).toContain(`${scales}: value 7 is NaN`);
  });
});

describe('HQQ', () => {
  const form = 'hqq of 4 bits in groups along rows';
  const with4 =
    (name: string, dtype: StoredDtype, ...bytes: number[]): Change =>
    (tensors) => {
      const { shape } = tensors[name]!;
      tensors[name] = { dtype, shape, data: Buffer.from(bytes).toString('base64') };
    };

  test.each<[string, Change]>([
    ['w.W_q: it is missing', without('w.W_q')],
    ['w.W_q: 96 bytes do not hold [16, 24] in 4 bits', reshaped('w.W_q', [24])],
    ['w.scale: it is missing', without('w.scale')],
    ['w.zero: F16 [1, 48], expected [48, 1]', reshaped('w.zero', [1, 48])],
    ['w.zero: BF16 [48, 1], expected F16', reshaped('w.zero', [48, 1], 'BF16')],
    ['w.shape: I64 [3], expected [2]', reshaped('w.shape', [3])],
    ['w.group_size: groups of 0 do not divide 384', with4('w.group_size', 'I32', 0, 0, 0, 0)],
    ['w.group_size: groups of 7 do not divide 384', with4('w.group_size', 'I32', 7, 0, 0, 0)],
    ['w.axis: it is 2, not 0 or 1', with4('w.axis', 'I32', 2, 0, 0, 0)],
    ['w.nbits: 2 bits are packed as 4bit_u8', with4('w.nbits', 'I32', 2, 0, 0, 0)],
    ['w.packing: "no" is none of 8bit_u8', with4('w.packing', 'U8', 110, 111)],
  ])('is refused: %s', async (message, change) => {
    expect(await refusal(form, change)).toContain(`PEFT_QUANTIZED_PARTS hub: ${message}`);
  });

  test('is refused with scales that are quantised themselves, whichever layer has them', async () => {
    const quantized = { scale_quant_params: { nbits: 8 } };
    for (const quant_config of [quantized, { 'self_attn.q_proj': quantized }])
      expect(await refusal(form, () => undefined, { quant_method: 'hqq', quant_config })).toContain(
        'PEFT_QUANTIZATION_METHOD hub: the checkpoint is quantised with hqq with scale_quant',
      );
    expect(
      await refusal(form, () => undefined, { quant_method: 'hqq', quant_config: 4 }),
    ).toContain(
      'PEFT_QUANTIZATION_CONFIG hub: quantization_config: quant_config must be an object',
    );
  });
});

describe('torchao', () => {
  const rows = 'torchao int8 by rows';
  const groups = 'torchao 4 bits in groups with zero points';

  test.each([
    [rows, 'int8'],
    [groups, 'int4'],
    ['torchao 4 bits packed', undefined],
    ['torchao 8 bits in groups', undefined],
    ['torchao 8-bit floats by rows', undefined],
  ] as const)('%s are held as %s', (name, format) => {
    const store = openCase(cases[name]!) as QuantizedStore;
    const packed = store.quantized('w.weight');
    expect(packed?.format).toBe(format);
    const parts = packed?.read();
    if (!parts) return;
    const values = quantizedRows(parts, 0, 8);
    const dense = readFloat32(store.get('w.weight')!);
    for (const [i, value] of values.entries())
      expect(Math.abs(value - dense[i]!)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -8);
  });

  test.each<[string, string, Change]>([
    [rows, 'w._weight_qdata: it is missing', without('w._weight_qdata')],
    [rows, 'w._weight_scale: it is missing', without('w._weight_scale')],
    [rows, 'w._weight_zero_point: I8 [8, 1], expected [4, 1]', reshaped('w._weight_scale', [4, 1])],
    [
      groups,
      'w._weight_zero_point: I8 [8, 1], expected [8, 2]',
      reshaped('w._weight_zero_point', [8, 1]),
    ],
    [
      groups,
      'w._weight_qdata: value 0 is 9, which is none of 4 bits',
      (tensors) => {
        const data = Buffer.alloc(8 * 64, 9).toString('base64');
        tensors['w._weight_qdata'] = { dtype: 'I8', shape: [8, 64], data };
      },
    ],
    [rows, 'w._weight_qdata: it has two axes, got [512]', reshaped('w._weight_qdata', [512])],
  ])('%s is refused: %s', async (form, message, change) => {
    expect(await refusal(form, change)).toContain(message);
  });

  test.each([
    [
      'torchao packed as "TILE_PACKED_TO_4D"',
      {
        _type: 'Int4WeightOnlyConfig',
        _data: { int4_packing_format: { _data: 'TILE_PACKED_TO_4D' } },
      },
    ],
    ['torchao\'s "NVFP4"', { _type: 'NVFP4' }],
    ['torchao\'s "int4_weight_only"', 'int4_weight_only'],
    ['torchao in "float8"', { _type: 'IntxWeightOnlyConfig', _data: { weight_dtype: 'float8' } }],
  ])('refuses %s', async (message, config) => {
    const settings = { quant_method: 'torchao', quant_type: { default: config } };
    expect(await refusal(rows, () => undefined, settings)).toContain(
      `PEFT_QUANTIZATION_METHOD hub: the checkpoint is quantised with ${message}`,
    );
  });

  test('of several kinds are held as none of them', () => {
    const [int8, int4] = [rows, groups].map(
      (name) => (cases[name]!.config as { quant_type: { default: object } }).quant_type.default,
    );
    const settings = (...kinds: unknown[]) => ({
      quant_method: 'torchao',
      quant_type: { default: { _type: 'FqnToConfig', _data: { fqn_to_config: { ...kinds } } } },
    });
    expect(storedForm(settings(int4, int4, null))?.format).toBe('int4');
    expect(storedForm(settings(int8, int4))?.format).toBe('bf16');
  });
});

test('a method that is not read is refused with those that are', async () => {
  const error = await errorOf(() => quantizedStore(storeOfSources([]), { quant_method: 'aqlm' }));
  expect(error.code).toBe('PEFT_QUANTIZATION_METHOD');
  expect(error.message).toContain('hub: the checkpoint is quantised with "aqlm"');
  expect(error.hint).toMatch(/^bitsandbytes, .*fp8.* are; or take the unquantised checkpoint/);
});
