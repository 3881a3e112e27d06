/**
 * Attention and its gradient against the formulas in float64, with every option, over random packed
 * batches.
 */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import type { AttentionOptions, DisentangledOptions } from '../src/binding/attention.js';
import type { NativeBinding } from '../src/binding/native-binding.js';
import { describeEachSet, distance, randomFloats } from './addon.js';
import { plainAttention, plainDisentangled } from './plain-attention.js';

const offsetsOf = (lengths: readonly number[]) =>
  Int32Array.from([
    0,
    ...lengths.map((_, b) => lengths.slice(0, b + 1).reduce((sum, length) => sum + length, 0)),
  ]);
const length = fc.oneof(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 40 }));

interface AttentionCase {
  readonly lengths: readonly number[];
  readonly more: number;
  readonly group: number;
  readonly keyHeads: number;
  readonly size: number;
  readonly causal: boolean;
  readonly window: number;
  readonly softCap: number;
  readonly bias: boolean;
  readonly extra: number;
  readonly rate: number;
  readonly bf16: boolean;
  readonly seed: number;
}

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

function runAttention(native: NativeBinding, c: AttentionCase) {
  const { group, keyHeads, size, extra, seed } = c;
  const heads = group * keyHeads;
  const queryOffsets = offsetsOf(c.lengths);
  const keyOffsets = offsetsOf(c.lengths.map((queries) => queries + c.more));
  const [nq, nk] = [queryOffsets.at(-1)!, keyOffsets.at(-1)!];
  const index = Int32Array.from({ length: 9 }, (_, i) => (i * 5) % 6);
  const options: AttentionOptions = {
    queryOffsets,
    keyOffsets,
    heads,
    keyValueHeads: keyHeads,
    headSize: size,
    scale: 1.3 / Math.sqrt(size),
    causal: c.causal,
    window: c.window,
    softCap: c.softCap,
    biasIndex: c.bias ? index : null,
    biasOrigin: 4,
    biasColumns: c.bias ? 6 : 0,
    extra,
    dropoutRate: c.rate,
    dropoutKey0: seed,
    dropoutKey1: -7,
    bf16: c.bf16,
  };
  const random = (count: number, n: number) => randomFloats(count, seed + n);
  const inputs = {
    q: random(nq * heads * size, 1),
    k: random(nk * keyHeads * size, 2),
    v: random(nk * keyHeads * size, 3),
    dy: random(nq * heads * size, 4),
    bias: c.bias ? random(heads * 6, 5) : null,
    extraKeys: extra ? random(extra * keyHeads * size, 6) : null,
    extraValues: extra ? random(extra * keyHeads * size, 7) : null,
  };
  const blank = (count: number) => new Float32Array(count).fill(NaN);
  const outputs = {
    y: blank(inputs.q.length),
    logSumExp: blank(nq * heads),
    dq: blank(inputs.q.length),
    dk: blank(inputs.k.length),
    dv: blank(inputs.v.length),
    dbias: inputs.bias && blank(inputs.bias.length),
    dextraKeys: inputs.extraKeys && blank(inputs.extraKeys.length),
    dextraValues: inputs.extraValues && blank(inputs.extraValues.length),
  };
  const { q, k, v, bias, extraKeys, extraValues, dy } = inputs;
  const { y, logSumExp, dq, dk, dv, dbias, dextraKeys, dextraValues } = outputs;
  native.attention(q, k, v, bias, extraKeys, extraValues, y, logSumExp, options);
  native.attentionGradient(
    q,
    k,
    v,
    bias,
    extraKeys,
    extraValues,
    y,
    logSumExp,
    dy,
    dq,
    dk,
    dv,
    dbias,
    dextraKeys,
    dextraValues,
    options,
  );
  return { inputs, options, outputs };
}

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

interface DisentangledCase {
  readonly lengths: readonly number[];
  readonly heads: number;
  readonly size: number;
  readonly keys: boolean;
  readonly queries: boolean;
  readonly rate: number;
  readonly bf16: boolean;
  readonly seed: number;
}

function runDisentangled(native: NativeBinding, c: DisentangledCase) {
  const { heads, size, seed } = c;
  const offsets = offsetsOf(c.lengths);
  const n = offsets.at(-1)!;
  const positions = 11;
  const table = (step: number) =>
    Int32Array.from({ length: 25 }, (_, i) => Math.min(Math.floor((i * step) / 10), positions - 1));
  const options: DisentangledOptions = {
    offsets,
    heads,
    headSize: size,
    scale: 0.8 / Math.sqrt(size),
    contentToPositionIndex: table(5),
    positionToContentIndex: table(4),
    relativeOrigin: 12,
    positions,
    dropoutRate: c.rate,
    dropoutKey0: seed,
    dropoutKey1: 99,
    bf16: c.bf16,
  };
  const random = (count: number, k: number) => randomFloats(count, seed + k);
  const [elements, rows] = [n * heads * size, positions * heads * size];
  const inputs = {
    q: random(elements, 1),
    k: random(elements, 2),
    v: random(elements, 3),
    dy: random(elements, 4),
    positionKeys: c.keys ? random(rows, 5) : null,
    positionQueries: c.queries ? random(rows, 6) : null,
  };
  const blank = (count: number) => new Float32Array(count).fill(NaN);
  const outputs = {
    y: blank(elements),
    logSumExp: blank(n * heads),
    dq: blank(elements),
    dk: blank(elements),
    dv: blank(elements),
    dpositionKeys: c.keys ? blank(rows) : null,
    dpositionQueries: c.queries ? blank(rows) : null,
  };
  const { q, k, v, dy, positionKeys, positionQueries } = inputs;
  const { y, logSumExp, dq, dk, dv, dpositionKeys, dpositionQueries } = outputs;
  native.disentangledAttention(q, k, v, positionKeys, positionQueries, y, logSumExp, options);
  native.disentangledAttentionGradient(
    q,
    k,
    v,
    positionKeys,
    positionQueries,
    y,
    logSumExp,
    dy,
    dq,
    dk,
    dv,
    dpositionKeys,
    dpositionQueries,
    options,
  );
  return { inputs, options, outputs };
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
