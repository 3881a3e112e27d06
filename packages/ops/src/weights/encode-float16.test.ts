import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeFloat32, encodeFloat16 } from './decode-float32.js';

const words = Uint16Array.from({ length: 65536 }, (_, i) => i);
const values = decodeFloat32(new Uint8Array(words.buffer), 'F16'); // value of every word

describe('encodeFloat16', () => {
  test('gives back each of the 65,536 words for its value', () => {
    const again = encodeFloat16(values);
    for (let word = 0; word < 65536; word += 1) {
      if (Number.isNaN(values[word])) expect(again[word]! & 0x7fff).toBeGreaterThan(0x7c00);
      else if (again[word] !== word)
        throw new Error(`0x${word.toString(16)} became 0x${again[word]!.toString(16)}`);
    }
  });

  test('rounds to the nearest, ties to the even word', () => {
    const cases: [number, number][] = [];
    for (let word = 0; word < 0x7bff; word += 1) {
      // exact in float32: one more fraction bit
      const middle = (values[word]! + values[word + 1]!) / 2;
      cases.push([middle, word % 2 === 0 ? word : word + 1]);
      cases.push([nextDown(middle), word], [nextUp(middle), word + 1]);
    }
    const encoded = encodeFloat16(Float32Array.from(cases, ([value]) => value));
    const negative = encodeFloat16(Float32Array.from(cases, ([value]) => -value));
    cases.forEach(([value, word], i) => {
      if (encoded[i] !== word || negative[i] !== (word | 0x8000))
        throw new Error(
          `${value} became 0x${encoded[i]!.toString(16)}, not 0x${word.toString(16)}`,
        );
    });
  });

  test('overflows to infinity from 65520 on and keeps the rest finite', () => {
    expect([
      ...encodeFloat16(
        Float32Array.of(65504, 65519.996, 65520, 1e38, -Infinity, 2 ** -25, 2 ** -26),
      ),
    ]).toEqual([0x7bff, 0x7bff, 0x7c00, 0x7c00, 0xfc00, 0, 0]);
  });

  test('is off by at most half a unit of the last place', () => {
    fc.assert(
      fc.property(
        fc.float({ min: Math.fround(-65504), max: Math.fround(65504), noNaN: true }),
        (value) => {
          const back = values[encodeFloat16(Float32Array.of(value))[0]!]!;
          const unit = 2 ** Math.max(-24, Math.floor(Math.log2(Math.abs(value) || 1)) - 10);
          expect(Math.abs(back - value)).toBeLessThanOrEqual(unit / 2);
        },
      ),
      { seed: 6, numRuns: 2000 },
    );
  });
});

/** The float32 neighbours of a positive value. */
const neighbour = (value: number, step: number): number => {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  bits[0]! += step;
  return new Float32Array(bits.buffer)[0]!;
};
const nextUp = (value: number): number => neighbour(value, 1);
const nextDown = (value: number): number => neighbour(value, -1);
