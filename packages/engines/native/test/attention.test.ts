/**
 * Attention and its gradient against the formulas in float64, with every option, over random packed
 * batches.
 */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import type { NativeBinding } from '../src/binding/native-binding.js';
import { describeEachSet, distance } from './addon.js';
import {
  runAttention,
  runDisentangled,
  type AttentionCase,
  type DisentangledCase,
} from './attention-runs.js';
import { plainAttention, plainDisentangled } from './plain-attention.js';

const length = fc.oneof(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 40 }));

/** Without the first element of each row. */
const afterFirst = (rows: Float32Array | Float64Array, size: number) =>
  rows.map((x, i) => (i % size === 0 ? 0 : x));

const attentionCase: fc.Arbitrary<AttentionCase> = fc.record({
  lengths: fc.array(length, { minLength: 0, maxLength: 3 }),
  more: fc.integer({ min: 0, max: 5 }),
  group: fc.integer({ min: 1, max: 3 }),
  keyHeads: fc.integer({ min: 1, max: 2 }),
  size: fc.integer({ min: 1, max: 20 }),
  causal: fc.boolean(),
  window: fc.constantFrom(0, 0, 3, 8),
  softCap: fc.constantFrom(0, 0, 2),
  bias: fc.boolean(),
  extra: fc.constantFrom(0, 0, 1, 7),
  rate: fc.constantFrom(0, 0, 0.3),
  bf16: fc.boolean(),
  seed: fc.integer({ min: 0, max: 1e6 }),
});

/** The formulas' values by case: they are the same for every set of instructions. */
const plain = new Map<string, Readonly<Record<string, ArrayLike<number>>>>();
function expectedOf<T extends Readonly<Record<string, ArrayLike<number>>>>(
  c: AttentionCase | DisentangledCase,
  compute: () => T,
): T {
  const key = JSON.stringify(c);
  const known = plain.get(key) ?? compute();
  plain.set(key, known);
  return known as T;
}

function checkAttention(native: NativeBinding, c: AttentionCase): void {
  const { inputs, options, outputs } = runAttention(native, c);
  const expected = expectedOf(c, () => plainAttention(inputs, options));
  for (const name of Object.keys(outputs) as (keyof typeof outputs)[]) {
    if (outputs[name])
      expect(distance(outputs[name], expected[name]), name).toBeLessThan(c.bf16 ? 0.06 : 2e-5);
  }
}

function checkDisentangled(native: NativeBinding, c: DisentangledCase): void {
  const { inputs, options, outputs } = runDisentangled(native, c);
  const expected = expectedOf(c, () => plainDisentangled(inputs, options));
  for (const name of Object.keys(outputs) as (keyof typeof outputs)[]) {
    if (outputs[name])
      expect(distance(outputs[name], expected[name]), name).toBeLessThan(c.bf16 ? 0.08 : 3e-5);
  }
}

describeEachSet('attention', (native, set) => {
  beforeAll(() => native.setInstructionSet(set));

  test('equals the formulas on random packed batches', () => {
    fc.assert(
      fc.property(attentionCase, (c) => checkAttention(native, c)),
      { numRuns: 120, seed: 3 },
    );
  });

  test.each([385, 400, 801])('takes heads of %d elements, more than a pass holds', (size) => {
    for (const bf16 of [false, true])
      checkAttention(native, {
        lengths: [5, 1, 18],
        more: 2,
        group: 2,
        keyHeads: 1,
        size,
        causal: true,
        window: 0,
        softCap: 0,
        bias: false,
        extra: 1,
        rate: 0,
        bf16,
        seed: size,
      });
  });

  test('equals the formulas where sequences take several blocks of queries and keys', () => {
    const large = {
      lengths: [300, 17],
      more: 9,
      group: 1,
      keyHeads: 1,
      size: 9,
      causal: false,
      window: 0,
      softCap: 0,
      bias: true,
      extra: 3,
      rate: 0,
      bf16: false,
      seed: 5,
    };
    checkAttention(native, large);
    checkAttention(native, { ...large, causal: true, window: 150, extra: 0, bf16: true });
  });

  test('with disentangled positions equals the formulas on random packed batches', () => {
    const disentangledCase = fc.record({
      lengths: fc.array(length, { minLength: 0, maxLength: 3 }),
      heads: fc.integer({ min: 1, max: 3 }),
      size: fc.integer({ min: 1, max: 20 }),
      keys: fc.boolean(),
      queries: fc.boolean(),
      rate: fc.constantFrom(0, 0, 0.3),
      bf16: fc.boolean(),
      seed: fc.integer({ min: 0, max: 1e6 }),
    });
    fc.assert(
      fc.property(disentangledCase, (c) => checkDisentangled(native, c)),
      { numRuns: 100, seed: 4 },
    );
  });

  test('with disentangled positions equals the formulas where sequences take several blocks', () => {
    const large = {
      lengths: [141, 270],
      heads: 1,
      size: 7,
      keys: true,
      queries: true,
      rate: 0.1,
      bf16: false,
      seed: 6,
    };
    checkDisentangled(native, large);
    checkDisentangled(native, { ...large, size: 34, bf16: true });
  });

  test('makes gradients as exact of large scores as of small ones', () => {
    const level = 48;
    const c = {
      lengths: [300, 17],
      more: 9,
      group: 2,
      keyHeads: 1,
      size: 5,
      causal: true,
      window: 0,
      softCap: 0,
      bias: false,
      extra: 3,
      rate: 0.1,
      bf16: false,
      seed: 5,
      level,
    };
    const own = runAttention(native, c);
    const expected = expectedOf(c, () => plainAttention(own.inputs, own.options));
    for (const name of ['dq', 'dk', 'dv'] as const)
      expect(
        distance(afterFirst(own.outputs[name], c.size), afterFirst(expected[name], c.size)),
        name,
      ).toBeLessThan(2e-5);
    const d = {
      lengths: [141, 9],
      heads: 1,
      size: 5,
      keys: true,
      queries: true,
      rate: 0.1,
      bf16: false,
      seed: 6,
      level,
    };
    const disentangled = runDisentangled(native, d);
    const wanted = expectedOf(d, () =>
      plainDisentangled(disentangled.inputs, disentangled.options),
    );
    for (const name of ['dq', 'dk', 'dv'] as const)
      expect(
        distance(afterFirst(disentangled.outputs[name], d.size), afterFirst(wanted[name], d.size)),
        name,
      ).toBeLessThan(2e-5);
  });

  test.each([5, 20, 401])('gives the score of a key seen alone no gradient, size %d', (size) => {
    const one = { heads: 1, size, rate: 0, bf16: false, seed: 7 };
    const { dq } = runAttention(native, {
      ...one,
      lengths: [3],
      more: 0,
      group: 1,
      keyHeads: 1,
      causal: true,
      window: 0,
      softCap: 0,
      bias: false,
      extra: 0,
    }).outputs;
    const [first, others] = [dq.subarray(0, size), dq.subarray(size)];
    expect(first.every((x) => x === 0)).toBe(true);
    expect(others.every((x) => x === 0)).toBe(false);
    if (size > 384) return; // more than disentangled attention takes
    const alone = runDisentangled(native, { ...one, lengths: [1, 1], keys: true, queries: true });
    expect(alone.outputs.dq.every((x) => x === 0)).toBe(true);
  });

  test('does not depend on the number of threads, to the last bit', () => {
    const outputs = [1, 2, 5].map((threads) => {
      native.setThreads(threads);
      const a = {
        lengths: [40, 25, 33, 7],
        more: 2,
        group: 2,
        keyHeads: 2,
        size: 16,
        causal: true,
        window: 0,
        softCap: 0,
        bias: true,
        extra: 4,
        rate: 0.1,
        bf16: true,
        seed: 5,
      };
      return [
        runAttention(native, a).outputs,
        runDisentangled(native, {
          lengths: [40, 25, 33, 7, 12],
          heads: 3,
          size: 16,
          keys: true,
          queries: true,
          rate: 0.1,
          bf16: true,
          seed: 6,
        }).outputs,
      ];
    });
    native.setThreads(0);
    for (const output of outputs) expect(output).toEqual(outputs[0]);
  });
});
