/** AdamW and the norm of gradients against their formulas in float64. */
import { beforeAll, expect, test } from 'vitest';
import type { NativeBinding } from '../src/binding/native-binding.js';
import { describeEachSet, distance, randomFloats } from './addon.js';

describeEachSet('the kernel of AdamW', (native, set) => {
  beforeAll(() => native.setInstructionSet(set));

  test('AdamW follows torch for many tensors at once, and the norm is of all of them', () =>
    checkAdamW(native));
});

function checkAdamW(native: NativeBinding): void {
  const lengths = [0, 5, 33, 20000];
  const make = (offset: number, scale: number) =>
    lengths.map((length, i) => randomFloats(length, i + offset, scale));
  const [p, m] = [make(1, 1), make(2, 0)];
  const v = m.map((values) => values.slice());
  const state = p.map((values, i) => ({
    p: Float64Array.from(values),
    m: new Float64Array(lengths[i]!),
    v: new Float64Array(lengths[i]!),
  }));
  const [rates, decays] = [
    Float64Array.of(0.1, 0.01, 0.02, 0.03),
    Float64Array.of(0, 0.1, 0, 0.01),
  ];
  for (let step = 1; step <= 4; step += 1) {
    const g = make(10 * step, 2);
    expect(native.l2Norm(g)).toBeCloseTo(
      Math.sqrt(g.reduce((total, values) => total + values.reduce((s, x) => s + x * x, 0), 0)),
      6,
    );
    native.adamW(
      p,
      g,
      m,
      v,
      rates.map((rate) => rate / (1 - 0.9 ** step)),
      rates.map(() => Math.sqrt(1 - 0.99 ** step)),
      rates.map((rate, i) => 1 - rate * decays[i]!),
      0.9,
      0.99,
      1e-8,
      0.5,
    );
    state.forEach((t, i) =>
      t.p.forEach((value, j) => {
        const gradient = g[i]![j]! * 0.5;
        t.m[j] = 0.9 * t.m[j]! + 0.1 * gradient;
        t.v[j] = 0.99 * t.v[j]! + 0.01 * gradient ** 2;
        const denominator = Math.sqrt(t.v[j]) / Math.sqrt(1 - 0.99 ** step) + 1e-8;
        t.p[j] =
          value * (1 - rates[i]! * decays[i]!) -
          ((rates[i]! / (1 - 0.9 ** step)) * t.m[j]) / denominator;
      }),
    );
    state.forEach((t, i) => expect(distance(p[i]!, t.p)).toBeLessThan(1e-5));
  }
}
