/** Moving elements and changing their type. */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { describeEachSet, randomFloats } from './addon.js';
import { blank, check, count, seed } from './properties.js';

describeEachSet('the kernel of shapes', (native, set) => {
  beforeAll(() => native.setInstructionSet(set));

  test('transposition, row copies and casts move every element', () =>
    check(
      fc.property(
        fc.integer({ min: 0, max: 3 }),
        count,
        count,
        fc.integer({ min: 0, max: 9 }),
        seed,
        (b, n, m, d, s) => {
          const x = randomFloats(b * n * m, s);
          const y = blank(x.length);
          native.transpose(x, y, b, n, m);
          for (let i = 0; i < x.length; i += 1)
            if (y[Math.floor(i / (n * m)) * n * m + (i % m) * n + (Math.floor(i / m) % n)] !== x[i])
              expect.fail(`element ${i}`);
          const wide = randomFloats(b * n * m * d, s);
          const swapped = blank(wide.length);
          native.transpose0213(wide, swapped, b, n, m, d);
          for (let i = 0; i < wide.length; i += 1) {
            const [e, c, r, k] = [
              i % d,
              Math.floor(i / d) % m,
              Math.floor(i / (d * m)) % n,
              Math.floor(i / (d * m * n)),
            ];
            if (swapped[((k * m + c) * n + r) * d + e] !== wide[i]) expect.fail(`element ${i}`);
          }
          const target = new Float32Array(n * (m + 3) + 2);
          native.copyRows(x, 0, m, target, 2, m + 3, b > 0 ? n : 0, m);
          for (let r = 0; b > 0 && r < n; r += 1)
            expect(target.subarray(2 + r * (m + 3), 2 + r * (m + 3) + m)).toEqual(
              x.subarray(r * m, (r + 1) * m),
            );
          const whole = Int32Array.from(x, (value) => value * 1e9);
          native.castToFloat(whole, y, whole.length);
          expect(y).toEqual(Float32Array.from(whole));
          native.castToInt(
            x.map((value) => value * 100),
            whole,
            whole.length,
          );
          expect(whole).toEqual(Int32Array.from(x.map((value) => value * 100)));
        },
      ),
    ));
});
