/** Cross entropy over an output layer in one pass, against its formula in float64. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeEachSet, distance, randomFloats } from './addon.js';

/** More than one chunk of the vocabulary, and a rest of one. */
const [VOCABULARY, WIDTH, ROWS] = [2100, 40, 19];

interface Case {
  readonly format: 'f32' | 'bf16' | 'int8' | 'nf4';
  readonly bf16: boolean;
  readonly scale: number;
  readonly softCap: number;
  readonly hasBias: boolean;
}

const CASES: readonly Case[] = [
  { format: 'f32', bf16: false, scale: 1, softCap: 0, hasBias: false },
  { format: 'bf16', bf16: false, scale: 0.4, softCap: 0, hasBias: true },
  { format: 'nf4', bf16: false, scale: 2, softCap: 1.5, hasBias: true },
  { format: 'int8', bf16: true, scale: 1, softCap: 3, hasBias: false },
  { format: 'bf16', bf16: true, scale: 1, softCap: 0, hasBias: false },
];

describeEachSet('the loss over an output layer', (native, set) => {
  beforeAll(() => native.setInstructionSet(set));
  afterAll(() => native.setThreads(0));
  const x = randomFloats(ROWS * WIDTH, 2);
  const labels = Int32Array.from({ length: ROWS }, (_, n) => (n * 1234 + 7) % VOCABULARY);
  labels.set([0, 1023, 1024, VOCABULARY - 1]);

  function run(c: Case, first = 0, withGradient = true) {
    const plain = native.weightFromBytes(
      new Uint8Array(randomFloats(VOCABULARY * WIDTH, 1).buffer),
      'f32',
      VOCABULARY,
      WIDTH,
      false,
    );
    const weight = native.weightConvert(plain, c.format, 64, false);
    const values = new Float32Array(VOCABULARY * WIDTH);
    native.weightDequantize(weight, values);
    const bias = c.hasBias ? randomFloats(VOCABULARY, 3) : null;
    const n = ROWS - first;
    const [loss, dx] = [new Float32Array(n).fill(NaN), new Float32Array(n * WIDTH).fill(NaN)];
    native.linearCrossEntropy(
      weight,
      x.subarray(first * WIDTH),
      bias,
      labels.subarray(first),
      loss,
      n,
      withGradient ? dx : null,
      c.scale,
      c.softCap,
      c.bf16,
    );
    native.weightFree(plain);
    native.weightFree(weight);
    return { values, bias, loss, dx };
  }

  test.each(CASES)('equals the formula: %o', (c) => {
    const { values, bias, loss, dx } = run(c);
    const expected = { loss: new Float64Array(ROWS), dx: new Float64Array(ROWS * WIDTH) };
    for (let n = 0; n < ROWS; n += 1) {
      const z = Float64Array.from({ length: VOCABULARY }, (_, v) => {
        let sum = 0;
        for (let d = 0; d < WIDTH; d += 1) sum += x[n * WIDTH + d]! * values[v * WIDTH + d]!;
        const plain = sum * c.scale + (bias?.[v] ?? 0);
        return c.softCap ? c.softCap * Math.tanh(plain / c.softCap) : plain;
      });
      const most = z.reduce((a, b) => Math.max(a, b));
      const total = z.reduce((sum, value) => sum + Math.exp(value - most), 0);
      const label = labels[n]!;
      expected.loss[n] = most + Math.log(total) - z[label]!;
      z.forEach((value, v) => {
        const dz = Math.exp(value - most) / total - (v === label ? 1 : 0);
        const slope = c.softCap ? 1 - (value / c.softCap) ** 2 : 1;
        for (let d = 0; d < WIDTH; d += 1)
          expected.dx[n * WIDTH + d]! += dz * slope * c.scale * values[v * WIDTH + d]!;
      });
    }
    expect(distance(loss, expected.loss), 'loss').toBeLessThan(c.bf16 ? 0.01 : 1e-5);
    expect(distance(dx, expected.dx), 'dx').toBeLessThan(c.bf16 ? 0.01 : 1e-5);
    expect(run(c, 0, false).loss, 'without its gradient').toEqual(loss);
  });

  test('of a row depends on no other row, nor on the threads', () => {
    for (const c of CASES) {
      native.setThreads(2);
      const whole = run(c);
      for (const threads of [1, 2])
        for (const first of [0, 1, ROWS - 3, ROWS - 1]) {
          native.setThreads(threads);
          const part = run(c, first);
          expect(part.loss).toEqual(whole.loss.subarray(first));
          expect(part.dx).toEqual(whole.dx.subarray(first * WIDTH));
        }
    }
  });

  test('refuses labels outside, and a weight that is stored turned', () => {
    const bytes = new Uint8Array(randomFloats(6, 1).buffer);
    const call = (transposed: boolean, label: number) => {
      const weight = native.weightFromBytes(bytes, 'f32', 3, 2, transposed);
      const [one, loss] = [new Float32Array(2), new Float32Array(1)];
      try {
        native.linearCrossEntropy(
          weight,
          one,
          null,
          Int32Array.of(label),
          loss,
          1,
          null,
          1,
          0,
          false,
        );
      } finally {
        native.weightFree(weight);
      }
    };
    expect(() => call(false, 3)).toThrow('label 3 of row 0 is outside the 3 classes');
    expect(() => call(false, -100)).toThrow('label -100 of row 0');
    expect(() => call(true, 0)).toThrow('must not be transposed');
  });
});
