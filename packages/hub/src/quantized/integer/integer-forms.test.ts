import { quantizedRows, type StoredDtype, type TensorSource } from '@peft/ops';
import { describe, expect, test } from 'vitest';
import { bytesSource, storeOfSources } from '../../../test/support/memory-tensors.js';
import { errorOf } from '../../../test/support/error-code.js';
import { readFloat32 } from '../../tensor-values.js';
import { storedForm } from '../quantized-forms.js';
import { quantizedStore, type QuantizedStore } from '../quantized-store.js';

type Part = readonly [dtype: StoredDtype, shape: readonly number[], data?: ArrayBufferView];
type Parts = Readonly<Record<string, Part>>;

const BYTES: Partial<Record<StoredDtype, number>> = { I32: 4, I64: 8, F16: 2, BF16: 2, F32: 4 };

/** Parts without data are zeros. */
function open(parts: Parts, config: object): QuantizedStore {
  const sources = Object.entries(parts).map(([name, [dtype, shape, data]]) => {
    const size = shape.reduce((product, side) => product * side, BYTES[dtype] ?? 1);
    return bytesSource(name, dtype, shape, data ?? new Uint8Array(size));
  });
  return quantizedStore(storeOfSources(sources), config) as QuantizedStore;
}

const refusal = async (parts: Parts, config: object): Promise<string> => {
  const error = await errorOf(() => open(parts, config).get('m.weight')?.read());
  return `${error.code} ${error.message.split('\n')[0]}`;
};

/** Float16 words of small integers. */
const halves = (...values: number[]): Uint16Array =>
  Uint16Array.from(values, (value) => {
    const exponent = Math.floor(Math.log2(value));
    return ((exponent + 15) << 10) | ((value / 2 ** exponent - 1) * 1024);
  });

const GPTQ = { quant_method: 'gptq', bits: 4, group_size: 32 };
const AWQ = { quant_method: 'awq', bits: 4, group_size: 32 };

describe('GPTQ', () => {
  // AutoGPTQ's layout by hand: 32 inputs, 8 outputs; code of input k and output o is (k + o) mod 16
  const words = Int32Array.from({ length: 4 * 8 }, (_, i) => {
    const [line, output] = [Math.floor(i / 8), i % 8];
    return Array.from({ length: 8 }, (_, n) => ((line * 8 + n + output) % 16) << (4 * n)).reduce(
      (word, nibble) => word | nibble,
    );
  });
  const parts: Parts = {
    'm.qweight': ['I32', [4, 8], words],
    'm.qzeros': ['I32', [1, 1], Uint32Array.of(0xf6543210)],
    'm.scales': ['F16', [1, 8], halves(1, 2, 3, 4, 5, 6, 7, 8)],
    'm.g_idx': ['I32', [32]],
    'm.bias': ['F16', [8]],
  };
  const expected = (zeroOf: (output: number) => number) =>
    Array.from({ length: 8 * 32 }, (_, i) => {
      const [output, k] = [Math.floor(i / 32), i % 32];
      return (((k + output) % 16) - zeroOf(output)) * (output + 1);
    });

  test('has zero points less one in its first layout, 16 being 0 again, and as they are in its second', () => {
    for (const [layout, zeros] of [
      [{}, [1, 2, 3, 4, 5, 6, 7, 0]],
      [{ checkpoint_format: 'gptq_v2' }, [0, 1, 2, 3, 4, 5, 6, 15]],
    ] as const) {
      const store = open(parts, { ...GPTQ, ...layout });
      const wanted = expected((output) => zeros[output]!);
      expect([...store.names()]).toEqual(['m.weight', 'm.bias']);
      expect([...readFloat32(store.get('m.weight')!)]).toEqual(wanted);
      const packed = store.quantized('m.weight')!;
      expect([packed.format, packed.shape]).toEqual(['int4', [8, 32]]);
      expect([...quantizedRows(packed.read(), 0, 8)]).toEqual(wanted);
      expect(store.get('m.bias')!.dtype).toBe('F16');
      expect(store.quantized('m.bias')).toBeUndefined();
    }
  });

  test('is refused with parts that are missing or do not fit together', async () => {
    const { 'm.scales': _, ...withoutScales } = parts;
    expect(await refusal(withoutScales, GPTQ)).toBe(
      'PEFT_QUANTIZED_PARTS hub: m.scales: it is missing.',
    );
    for (const [changed, message] of [
      [{ 'm.scales': ['F16', [2, 8]] }, 'm.scales: F16 [2, 8], expected [1, 8]'],
      [{ 'm.scales': ['I32', [1, 8]] }, 'm.scales: I32 [1, 8], expected F16 or BF16 or F32'],
      [{ 'm.qzeros': ['I32', [1, 8]] }, 'm.qzeros: I32 [1, 8], expected [1, 1]'],
      [{ 'm.qweight': ['I32', [32]] }, 'm.qweight: it has two axes, got [32]'],
      [{ 'm.qweight': ['I32', [4, 7]] }, 'm.qweight: [4, 7] holds no whole words of 4 bits'],
      [{ 'm.qweight': ['I32', [0, 8]] }, 'm.qweight: [0, 8] holds no whole words'],
      [{ 'm.qweight': ['F32', [4, 8]] }, 'm.qweight: F32 [4, 8], expected I32'],
      [
        { 'm.g_idx': ['I32', [32], new Int32Array(32).fill(1)] },
        'column 0 is of group 1, and there are 1',
      ],
      [{ 'm.g_idx': ['I32', [31]] }, 'm.g_idx: I32 [31], expected [32]'],
    ] as const)
      expect(await refusal({ ...parts, ...changed } as Parts, GPTQ)).toContain(message);
    expect(
      await refusal(
        { ...parts, 'm.scales': ['F16', [1, 8], new Uint16Array(8).fill(0x7c00)] },
        GPTQ,
      ),
    ).toContain('m.scales: value 0 is Infinity');
    const { 'm.g_idx': __, ...inOrder } = parts;
    expect(
      await refusal(
        { ...inOrder, 'm.scales': ['F16', [2, 8]], 'm.qzeros': ['I32', [2, 1]] },
        { ...GPTQ, group_size: 24 },
      ),
    ).toContain('its 32 inputs are no multiple of the groups of 24');
  });

  test.each([
    [{ bits: 5 }, 'bits must be 2, 3, 4 or 8, got 5'],
    [{ bits: '4' }, 'bits must be 2, 3, 4 or 8, got "4"'],
    [{ group_size: 0 }, 'group_size must be -1 or a positive integer of at most 1048576, got 0'],
    [{ group_size: 1e12 }, 'group_size must be -1'],
    [{ checkpoint_format: 'marlin' }, 'gptq in the layout "marlin", which is not supported'],
  ])('refuses the settings %j', async (changed, message) => {
    expect(await refusal(parts, { ...GPTQ, ...changed })).toContain(message);
  });
});

describe('AWQ', () => {
  test('has the outputs of a word in the order 0, 2, 4, 6, 1, 3, 5, 7', () => {
    // nibbles from the lowest: code 1 at output 0, 2 at output 2, 3 at 4, 4 at 6, 5 at 1, …
    const store = open(
      {
        'm.qweight': ['I32', [32, 1], new Uint32Array(32).fill(0x87654321)],
        'm.qzeros': ['I32', [1, 1], Uint32Array.of(0x00000001)],
        'm.scales': ['F16', [1, 8], halves(1, 1, 1, 1, 1, 1, 1, 1)],
      },
      AWQ,
    );
    const columns = Array.from({ length: 8 }, (_, output) =>
      readFloat32(store.get('m.weight')!).at(output * 32),
    );
    expect(columns).toEqual([0, 5, 2, 6, 3, 7, 4, 8]);
    expect([...quantizedRows(store.quantized('m.weight')!.read(), 0, 8)]).toEqual([
      ...readFloat32(store.get('m.weight')!),
    ]);
  });

  test.each([
    [{ version: 'gemv' }, 'awq in the version "gemv", which is not supported'],
    [{ version: 'marlin' }, 'awq in the version "marlin"'],
    [{ bits: 8 }, 'bits must be 4, got 8'],
  ])('refuses the settings %j', async (changed, message) => {
    expect(await refusal({}, { ...AWQ, ...changed })).toContain(message);
  });
});

describe('compressed-tensors', () => {
  const settings = (format: string, weights: object | null, rest: object = {}) => ({
    quant_method: 'compressed-tensors',
    format,
    config_groups: { group_0: { targets: ['Linear'], weights } },
    ...rest,
  });
  const FOUR = settings('pack-quantized', { num_bits: 4, strategy: 'group', group_size: 32 });
  const parts: Parts = {
    'm.weight_packed': ['I32', [2, 8]],
    'm.weight_scale': ['BF16', [2, 2]],
    'm.weight_shape': ['I64', [2], BigInt64Array.of(2n, 64n)],
  };

  test('is refused with parts that are missing or do not fit together', async () => {
    const { 'm.weight_shape': _, ...shapeless } = parts;
    expect(await refusal(shapeless, FOUR)).toContain('m.weight_shape: it is missing');
    const { 'm.weight_scale': __, ...scaleless } = parts;
    expect(await refusal(scaleless, FOUR)).toContain('m.weight_scale: it is missing');
    for (const [changed, message] of [
      [
        { 'm.weight_shape': ['I64', [2], BigInt64Array.of(2n, 128n)] },
        'm.weight_packed: [2, 8] does not hold [2, 128] in 4 bits',
      ],
      [
        { 'm.weight_shape': ['I64', [2], BigInt64Array.of(-2n, 64n)] },
        'm.weight_packed: [2, 8] does not hold [-2, 64]',
      ],
      [
        { 'm.weight_scale': ['BF16', [2, 3]] },
        'm.weight_scale: [2, 3] does not go with [2, 64] in groups of 32',
      ],
      [{ 'm.weight_packed': ['I8', [2, 8]] }, 'm.weight_packed: I8 [2, 8], expected I32'],
      [{ 'm.weight_g_idx': ['I32', [64], new Int32Array(64).fill(9)] }, 'column 0 is of group 9'],
    ] as const)
      expect(await refusal({ ...parts, ...changed } as Parts, FOUR)).toContain(message);
    const uneven = settings('pack-quantized', {
      num_bits: 4,
      strategy: 'group',
      group_size: 32,
      symmetric: false,
    });
    expect(await refusal(parts, uneven)).toContain('m.weight_zero_point: it is missing');
    expect(await refusal({ ...parts, 'm.weight_zero_point': ['I32', [2, 2]] }, uneven)).toContain(
      'm.weight_zero_point: [2, 2], expected [1, 2]',
    );
    expect(
      await refusal(
        { ...parts, 'm.weight_zero_point': ['I8', [2, 2], Int8Array.of(-8, 7, 8, 0)] },
        uneven,
      ),
    ).toContain('m.weight_zero_point: value 2 is 8, which is none of 4 bits');
  });

  test('reads signed bytes wherever they lie in their buffer', () => {
    const within = (...values: number[]) => Int8Array.of(99, ...values).subarray(1);
    const source = (name: string, shape: readonly number[], data: Int8Array): TensorSource => ({
      ...bytesSource(name, 'I8', shape, data),
      read: (start = 0, length = data.length - start) =>
        new Uint8Array(data.buffer, data.byteOffset + start, length),
    });
    const store = quantizedStore(
      storeOfSources([
        source('m.weight', [2, 2], within(-128, 127, 3, -1)),
        source('m.weight_zero_point', [2, 1], within(-1, 2)),
        bytesSource('m.weight_scale', 'F32', [2, 1], Float32Array.of(1, 2)),
      ]),
      settings('int-quantized', { num_bits: 8, strategy: 'channel', symmetric: false }),
    );
    expect([...readFloat32(store.get('m.weight')!)]).toEqual([-127, 128, 2, -6]);
  });

  test.each([
    [
      'nvfp4-pack-quantized',
      { num_bits: 4, type: 'float' },
      'in the format "nvfp4-pack-quantized"',
    ],
    ['marlin-24', { num_bits: 4 }, 'in the format "marlin-24"'],
    ['pack-quantized', { num_bits: 4, type: 'float' }, 'in floats of 4 bits by tensor'],
    ['pack-quantized', { num_bits: 3 }, 'num_bits must be 4 or 8, got 3'],
    ['int-quantized', { num_bits: 8, strategy: 'block' }, 'in integers of 8 bits by block'],
    ['float-quantized', { num_bits: 8, type: 'float', block_structure: [0, 1] }, 'block_structure'],
    ['int-quantized', { num_bits: 8, strategy: 'attn' }, 'strategy must be one of'],
    ['int-quantized', null, 'must be an object, got null'],
  ])('refuses %s with %j', async (format, weights, message) => {
    expect(await refusal(parts, settings(format, weights))).toContain(message);
  });

  test('refuses several schemes, sparse weights and a config without one', async () => {
    const group = (num_bits: number) => ({ targets: ['Linear'], weights: { num_bits } });
    const both = { ...FOUR, config_groups: { a: group(4), b: group(8) } };
    expect(await refusal(parts, both)).toContain('compressed-tensors in several schemes');
    const written = (fields: object, format?: string) => ({
      targets: ['Linear'],
      format,
      // as llm-compressor writes them, those that differ at the end
      weights: {
        ...{ actorder: null, block_structure: null, dynamic: false, group_size: 32, num_bits: 4 },
        ...{ observer: 'minmax', observer_kwargs: {}, scale_dtype: null, strategy: 'group' },
        ...fields,
      },
    });
    const groups = (a: object, b: object) => ({ ...FOUR, config_groups: { a, b } });
    const even = written({ symmetric: true });
    expect(await refusal(parts, groups(even, written({ symmetric: false })))).toContain(
      'in several schemes',
    );
    expect(await refusal(parts, groups(even, written({}, 'marlin-24')))).toContain(
      'in the format "marlin-24"',
    );
    const store = open(parts, groups(even, written({ observer: 'mse', symmetric: true })));
    expect(store.get('m.weight')!.shape).toEqual([2, 64]);
    expect(await refusal(parts, { ...FOUR, config_groups: {} })).toContain('config_groups must be');
    const sparse = { ...FOUR, sparsity_config: { format: 'sparse-24-bitmask' } };
    expect(await refusal(parts, sparse)).toContain('in the format "sparse-24-bitmask"');
  });
});

test('the parts that real files have go together', () => {
  const found = (parts: Parts, config: object, name: string) => {
    // sizes alone: nothing is read
    const sources = Object.entries(parts).map(([each, [dtype, shape, data]]) =>
      data
        ? bytesSource(each, dtype, shape, data)
        : { name: each, dtype, shape, byteLength: 0, read: () => new Uint8Array(0) },
    );
    const store = quantizedStore(storeOfSources(sources), config) as QuantizedStore;
    return [store.get(name)!.shape, store.quantized(name)?.format];
  };
  const gIdx = Int32Array.from({ length: 11008 }, (_, k) => Math.floor(k / 128));
  const name = 'model.layers.0.mlp.down_proj';
  // TheBloke/Llama-2-7B-GPTQ
  expect(
    found(
      {
        [`${name}.qweight`]: ['I32', [1376, 4096]],
        [`${name}.qzeros`]: ['I32', [86, 512]],
        [`${name}.scales`]: ['F16', [86, 4096]],
        [`${name}.g_idx`]: ['I32', [11008], gIdx],
      },
      { bits: 4, group_size: 128, desc_act: false, sym: true, quant_method: 'gptq' },
      `${name}.weight`,
    ),
  ).toEqual([[4096, 11008], 'int4']);
  // Qwen/Qwen2.5-7B-Instruct-AWQ
  expect(
    found(
      {
        [`${name}.qweight`]: ['I32', [18944, 448]],
        [`${name}.qzeros`]: ['I32', [148, 448]],
        [`${name}.scales`]: ['F16', [148, 3584]],
      },
      { bits: 4, group_size: 128, quant_method: 'awq', version: 'gemm', zero_point: true },
      `${name}.weight`,
    ),
  ).toEqual([[3584, 18944], 'int4']);
  // deepseek-ai/DeepSeek-V3
  const latent = 'model.layers.0.self_attn.kv_a_proj_with_mqa.weight';
  expect(
    found(
      {
        [latent]: ['F8_E4M3', [576, 7168]],
        [`${latent}_scale_inv`]: ['F32', [5, 56]],
      },
      {
        activation_scheme: 'dynamic',
        fmt: 'e4m3',
        quant_method: 'fp8',
        weight_block_size: [128, 128],
      },
      latent,
    ),
  ).toEqual([[576, 7168], undefined]);
  // openai/gpt-oss-20b
  const experts = 'model.layers.0.mlp.experts.gate_up_proj';
  expect(
    found(
      {
        [`${experts}_blocks`]: ['U8', [32, 5760, 90, 16]],
        [`${experts}_scales`]: ['U8', [32, 5760, 90]],
      },
      { quant_method: 'mxfp4', modules_to_not_convert: ['model.layers.*.self_attn'] },
      experts,
    ),
  ).toEqual([[32, 2880, 5760], undefined]);
});

test('says what the linear maps are in memory', () => {
  const format = (config: object) => {
    const form = storedForm(config)!;
    return [form.format, form.blockSize];
  };
  expect(format(GPTQ)).toEqual(['int4', 32]);
  expect(format({ ...GPTQ, group_size: -1 })).toEqual(['int4', 1024]);
  expect(format({ ...GPTQ, group_size: 16 })).toEqual(['bf16', undefined]);
  expect(format({ ...GPTQ, desc_act: true })).toEqual(['bf16', undefined]);
  expect(format({ ...GPTQ, bits: 8 })).toEqual(['bf16', undefined]);
  expect(format(AWQ)).toEqual(['int4', 32]);
  expect(format({ quant_method: 'mxfp4' })).toEqual(['mxfp4', 32]);
});
