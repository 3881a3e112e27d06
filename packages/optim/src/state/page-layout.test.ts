import { describe, expect, test } from 'vitest';
import { layOutPages, type PageSegments } from './page-layout.js';
import type { ParameterSlots } from './slots.js';

const declared = (sizes: Record<string, number | [number, number]>): ParameterSlots[] =>
  Object.entries(sizes).map(([parameter, size]) => {
    const [elements, learningRateScale] = typeof size === 'number' ? [size, 1] : size;
    return { parameter, elements, slots: [], group: { learningRateScale, weightDecay: 0 } };
  });
const shown = (pages: readonly PageSegments[]): string[] =>
  pages.map((segments) =>
    segments
      .map(({ parameter, start, end, offset }) => `${parameter} ${start}-${end} at ${offset}`)
      .join(', '),
  );

describe('pages', () => {
  test('hold small parameters side by side until they are full', () => {
    expect(shown(layOutPages(declared({ a: 300, b: 5, c: 300, d: 500 }), 1024))).toEqual([
      'a 0-300 at 0, b 0-5 at 300, c 0-300 at 305',
      'd 0-500 at 0',
    ]);
  });

  test('divide a large parameter evenly, at multiples of 256, and follow each other', () => {
    expect(shown(layOutPages(declared({ a: 10, big: 3000, b: 20 }), 1024))).toEqual([
      'big 0-1024 at 0',
      'big 1024-2048 at 0',
      'big 2048-3000 at 0',
      'a 0-10 at 0, b 0-20 at 10',
    ]);
    expect(shown(layOutPages(declared({ big: 1100 }), 1024))).toEqual([
      'big 0-768 at 0',
      'big 768-1100 at 0',
    ]);
  });

  test('keep a group together, and end with it from a quarter full on', () => {
    const mixed = { a1: [100, 1], b1: [200, 2], a2: [200, 1], b2: [10, 2], c: [10, 3] } as Record<
      string,
      [number, number]
    >;
    expect(shown(layOutPages(declared(mixed), 1024))).toEqual([
      'a1 0-100 at 0, a2 0-200 at 100',
      'b1 0-200 at 0, b2 0-10 at 200, c 0-10 at 210',
    ]);
  });

  test('leave parameters without elements out, and hold 256 elements at least', () => {
    expect(shown(layOutPages(declared({ none: 0, a: 600 }), 1))).toEqual([
      'a 0-256 at 0',
      'a 256-512 at 0',
      'a 512-600 at 0',
    ]);
    expect(layOutPages([], 1024)).toEqual([]);
  });
});
