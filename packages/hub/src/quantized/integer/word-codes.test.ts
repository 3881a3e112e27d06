/** Codes by the word against each code by its formula. */
import { quantizedRows } from '@peft/ops';
import { expect, test } from 'vitest';
import { bytesSource, storeOfSources } from '../../../test/support/memory-tensors.js';
import { readFloat32 } from '../../tensor-values.js';
import { quantizedStore, type QuantizedStore } from '../quantized-store.js';
import { bitField } from './bit-fields.js';

const [INPUTS, OUTPUTS, GROUP] = [128, 96, 32];
const GROUPS = INPUTS / GROUP;

/** Seeded words. */
function words(length: number, seed: number): Uint32Array {
  let state = seed;
  return new Uint32Array(length).map(
    () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0),
  );
}

/** 1, 1.25 … as float16, exact in every product below. */
const scaleAt = (place: number): number => 1 + (place % 4) / 4;
const scales = Uint16Array.from({ length: GROUPS * OUTPUTS }, (_, i) => 0x3c00 + 256 * (i % 4));

function weightOf(
  config: object,
  qweight: readonly [number, number],
  bits: number,
  order?: Int32Array,
) {
  const codes = words(qweight[0] * qweight[1], bits);
  const zeros = words((GROUPS * OUTPUTS * bits) / 32, 9);
  const store = quantizedStore(
    storeOfSources([
      bytesSource('m.qweight', 'I32', qweight, codes),
      bytesSource('m.qzeros', 'I32', [GROUPS, (OUTPUTS * bits) / 32], zeros),
      bytesSource('m.scales', 'F16', [GROUPS, OUTPUTS], scales),
      ...(order ? [bytesSource('m.g_idx', 'I32', [INPUTS], order)] : []),
    ]),
    config,
  ) as QuantizedStore;
  return { store, codes, zeros };
}

const valuesOf = (
  code: (k: number, o: number) => number,
  zero: (group: number, o: number) => number,
  groupOf: (k: number) => number = (k) => Math.floor(k / GROUP),
): number[] =>
  Array.from({ length: OUTPUTS * INPUTS }, (_, i) => {
    const [o, k] = [Math.floor(i / INPUTS), i % INPUTS];
    const group = groupOf(k);
    return (code(k, o) - zero(group, o)) * scaleAt(group * OUTPUTS + o);
  });

test.each([
  [2, false],
  [3, false],
  [4, false],
  [4, true],
  [8, false],
] as const)('GPTQ in %i bits, in the order of activations: %s', (bits, isMixed) => {
  const order = isMixed
    ? Int32Array.from({ length: INPUTS }, (_, k) => (7 * k) % GROUPS)
    : undefined;
  const config = { quant_method: 'gptq', bits, group_size: GROUP };
  const { store, codes, zeros } = weightOf(config, [(INPUTS * bits) / 32, OUTPUTS], bits, order);
  const most = 2 ** bits - 1;
  const expected = valuesOf(
    (k, o) => bitField(codes, bits, k, o, OUTPUTS),
    (group, o) => (bitField(zeros, bits, o, (group * OUTPUTS * bits) / 32) + 1) & most,
    order && ((k) => order[k]!),
  );
  expect([...readFloat32(store.get('m.weight')!)]).toEqual(expected);
  // some rows alone
  const part = store.get('m.weight')!.read(2 * 17 * INPUTS, 2 * 5 * INPUTS);
  const all = store.get('m.weight')!.read();
  expect(part).toEqual(all.slice(2 * 17 * INPUTS, 2 * 22 * INPUTS));
  const packed = store.quantized('m.weight');
  expect(packed !== undefined).toBe(bits === 4 && !isMixed);
  if (packed) expect([...quantizedRows(packed.read(), 0, OUTPUTS)]).toEqual(expected);
});

test('AWQ', () => {
  const config = { quant_method: 'awq', bits: 4, group_size: GROUP };
  const { store, codes, zeros } = weightOf(config, [INPUTS, OUTPUTS / 8], 4);
  const place = [0, 4, 1, 5, 2, 6, 3, 7];
  const at = (from: Uint32Array, line: number, o: number): number =>
    bitField(from, 4, place[o % 8]! + 8 * Math.floor(o / 8), (line * OUTPUTS) / 8);
  const expected = valuesOf(
    (k, o) => at(codes, k, o),
    (group, o) => at(zeros, group, o),
  );
  expect([...readFloat32(store.get('m.weight')!)]).toEqual(expected);
  expect([...quantizedRows(store.quantized('m.weight')!.read(), 0, OUTPUTS)]).toEqual(expected);
});

test.each([
  [4, INPUTS],
  [8, INPUTS],
  [4, 100], // no whole words
] as const)('compressed-tensors in %i bits, rows of %i', (bits, columns) => {
  const rowWords = Math.ceil((columns * bits) / 32);
  const codes = words(OUTPUTS * rowWords, bits);
  const store = quantizedStore(
    storeOfSources([
      bytesSource('m.weight_packed', 'I32', [OUTPUTS, rowWords], codes),
      bytesSource('m.weight_scale', 'F16', [OUTPUTS, 1], scales.slice(0, OUTPUTS)),
      bytesSource('m.weight_shape', 'I64', [2], BigInt64Array.of(BigInt(OUTPUTS), BigInt(columns))),
    ]),
    {
      quant_method: 'compressed-tensors',
      format: 'pack-quantized',
      config_groups: {
        a: { targets: ['Linear'], weights: { num_bits: bits, strategy: 'channel' } },
      },
    },
  ) as QuantizedStore;
  const expected = Array.from({ length: OUTPUTS * columns }, (_, i) => {
    const [o, k] = [Math.floor(i / columns), i % columns];
    return (bitField(codes, bits, k, o * rowWords) - 2 ** (bits - 1)) * scaleAt(o);
  });
  expect([...readFloat32(store.get('m.weight')!)]).toEqual(expected);
  const packed = store.quantized('m.weight');
  if (columns === INPUTS && bits === 4)
    expect([...quantizedRows(packed!.read(), 0, OUTPUTS)]).toEqual(expected);
});
