/** The two engines in C++ have the same polynomials: the coefficients of both sources are compared. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const sourceOf = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
const NATIVE = sourceOf('../cpp/vector/math.h');
const TENSORFLOW = sourceOf('../../tensorflow/cpp/vector-math.h');

/** The coefficients in the body of a function, rounded to float32. */
function coefficients(source: string, functionName: string): number[] {
  const body = source.slice(
    source.search(new RegExp(`\\b${functionName}\\((vf|float) \\w+\\) \\{`)),
  );
  const list = /kCoefficients\[\] = \{([^}]*)\}/.exec(body);
  return (list?.[1] ?? '').split(',').map((text) => Math.fround(parseFloat(text)));
}

test.each([
  ['expNegative', 'expNegative', 5],
  ['erfcTail', 'erfcTail', 8],
  ['normalCdf', 'normalCdf', 6],
  ['tanh', 'hyperbolicTangent', 5],
])('%s has the coefficients of TensorFlow’s %s', (native, tensorflow, count) => {
  const own = coefficients(NATIVE, native);
  expect(own).toHaveLength(count);
  expect(own.every(Number.isFinite)).toBe(true);
  expect(coefficients(TENSORFLOW, tensorflow)).toEqual(own);
});
