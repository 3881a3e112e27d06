/** Activations and their gradients against their formulas in float64. */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import type { ActivationName } from '@peft/ops';
import { ACTIVATION } from '../src/binding/activations.js';
import { describeEachSet, distance, randomFloats } from './addon.js';
import { blank, check, count, erf, seed, sigmoid } from './properties.js';

const FUNCTIONS: Record<ActivationName, (x: number) => number> = {
  gelu: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  gelu_quick: (x) => x * sigmoid(1.702 * x),
  relu: (x) => Math.max(x, 0),
  relu_squared: (x) => Math.max(x, 0) ** 2,
  silu: (x) => x * sigmoid(x),
  tanh: Math.tanh,
  sigmoid,
  leaky_relu: (x) => (x > 0 ? x : 0.01 * x),
};
/** By central differences; inputs keep away from the kinks. */
const slope = (f: (x: number) => number, x: number) => (f(x + 1e-5) - f(x - 1e-5)) / 2e-5;
const kinds = Object.keys(ACTIVATION) as ActivationName[];

describeEachSet('the activation', (native, set) => {
  beforeAll(() => native.setInstructionSet(set));

  test('each activation, plain and gated, with its gradient', () =>
    check(
      fc.property(fc.constantFrom(...kinds), count, seed, (kind, n, s) => {
        const x = randomFloats(n, s, 8).map((value) => (Math.abs(value) < 1e-3 ? 1 : value));
        const [up, dy] = [randomFloats(n, s + 1), randomFloats(n, s + 2)];
        const f = FUNCTIONS[kind];
        const [y, dx, gated, dgate, dup] = [blank(n), blank(n), blank(n), blank(n), blank(n)];
        native.activation(ACTIVATION[kind], x, y, n);
        native.activationGradient(ACTIVATION[kind], x, dy, dx, n);
        native.gatedActivation(ACTIVATION[kind], x, up, gated, n);
        native.gatedActivationGradient(ACTIVATION[kind], x, up, dy, dgate, dup, n);
        expect(distance(y, Array.from(x, f))).toBeLessThan(5e-7);
        expect(
          distance(
            dx,
            Array.from(x, (value, i) => dy[i]! * slope(f, value)),
          ),
        ).toBeLessThan(2e-6);
        expect(
          distance(
            gated,
            Array.from(x, (value, i) => f(value) * up[i]!),
          ),
        ).toBeLessThan(5e-7);
        expect(
          distance(
            dgate,
            Array.from(x, (value, i) => dy[i]! * up[i]! * slope(f, value)),
          ),
        ).toBeLessThan(2e-6);
        expect(
          distance(
            dup,
            Array.from(x, (value, i) => dy[i]! * f(value)),
          ),
        ).toBeLessThan(5e-7);
      }),
    ));
});
