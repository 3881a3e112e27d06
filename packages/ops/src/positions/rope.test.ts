import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { expectGradients, seededTensor, toBeAllclose } from '@peft/testing';
import { describe, expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { offsetsOf, positionsOf } from './offsets.js';
import { rope } from './rope.js';
import { ropeFrequencies } from './rope-frequencies.js';
import { ropeTables } from './rope-tables.js';

expect.extend({ toBeAllclose });

onEachBackend('rope', () => {
  test.each([
    [1, 4, 1],
    [3, 8, 1],
    [2, 10, 0.4],
  ])(
    '%i heads of %i, of which %d turn: each pair turns by its angle, and its gradient agrees with differences',
    (heads, headSize, partialRotaryFactor) => {
      const tables = ropeTables({ headSize, length: 9, theta: 100, partialRotaryFactor });
      const positions = positionsOf(offsetsOf([4, 1]), 3);
      const x = seededTensor<Tensor2D>('x', [5, heads * headSize]);
      const rotary = headSize * partialRotaryFactor;
      const rows = x.arraySync();
      const expected = rows.flatMap((row, n) =>
        row.map((value, column) => {
          const i = column % headSize;
          if (i >= rotary) return value;
          const pair = i % (rotary / 2);
          const angle = positions[n]! * 100 ** ((-2 * pair) / rotary);
          const start = column - i;
          const [a, b] = [row[start + pair]!, row[start + pair + rotary / 2]!];
          return i < rotary / 2
            ? a * Math.cos(angle) - b * Math.sin(angle)
            : b * Math.cos(angle) + a * Math.sin(angle);
        }),
      );
      expect(rope(x, tables, positions, heads)).toBeAllclose(expected, { atol: 2e-6 });
      expectGradients((a) => rope(a as Tensor2D, tables, positions, heads), [x]);
    },
  );

  test('tables made in a scope of their own may be gone when the gradient is asked for', () => {
    const x = seededTensor<Tensor2D>('x', [2, 4]);
    const gradient = tf.grad((a) =>
      tf.tidy(() =>
        rope(a as Tensor2D, ropeTables({ headSize: 4, length: 2 }), Int32Array.of(0, 1), 1),
      ),
    )(x);
    expect([...gradient.dataSync()].slice(0, 4)).toEqual([1, 1, 1, 1]);
  });

  test('a position outside the tables and heads narrower than they are are named', () => {
    const x = seededTensor<Tensor2D>('x', [2, 4]);
    const tables = ropeTables({ headSize: 4, length: 3 });
    expect(() => rope(x, tables, Int32Array.of(0, 3), 1)).toThrow(
      'position 3 is outside the 3 rows of the tables',
    );
    expect(() => rope(x, tables, Int32Array.of(0, 1), 2)).toThrow(
      'tables of 2 angles do not fit 2 heads in a width of 4',
    );
  });
});

describe('ropeFrequencies', () => {
  const plain = { rotarySize: 8, theta: 10_000 };

  test('without scaling they are θ^(−2i/R)', () => {
    expect(ropeFrequencies(plain).frequencies).toBeAllclose([1, 0.1, 0.01, 0.001]);
  });

  test('linear scaling divides them', () => {
    expect(
      ropeFrequencies({ ...plain, scaling: { type: 'linear', factor: 4 } }).frequencies,
    ).toBeAllclose([0.25, 0.025, 0.0025, 0.00025]);
  });

  test('dynamic scaling changes θ only beyond the original length', () => {
    const scaling = { rope_type: 'dynamic', factor: 2 };
    expect(
      ropeFrequencies({ ...plain, scaling, maxPositions: 16, length: 16 }).frequencies,
    ).toBeAllclose([1, 0.1, 0.01, 0.001]);
    const theta = 10_000 * ((2 * 32) / 16 - 1) ** (8 / 6);
    expect(
      ropeFrequencies({ ...plain, scaling, maxPositions: 16, length: 32 }).frequencies,
    ).toBeAllclose([0, 2, 4, 6].map((e) => theta ** (-e / 8)));
  });

  test('llama3 scaling keeps short waves, divides long ones and blends those between', () => {
    // Wavelengths 2π, 62.8, 628, 6283; kept below 64/4 = 16, divided above 64/1 = 64, between them
    // blended.
    const { frequencies } = ropeFrequencies({
      ...plain,
      scaling: {
        rope_type: 'llama3',
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 64,
      },
    });
    const blend = (64 / (2 * Math.PI * 10) - 1) / 3;
    expect(frequencies).toBeAllclose(
      [1, ((1 - blend) * 0.1) / 8 + blend * 0.1, 0.01 / 8, 0.001 / 8],
      { rtol: 1e-5 },
    );
  });

  test('yarn keeps columns that turn often, divides those that turn less than once, and scales attention', () => {
    const { frequencies, attentionFactor } = ropeFrequencies({
      ...plain,
      scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 1024 },
    });
    expect(attentionFactor).toBeCloseTo(0.1 * Math.log(4) + 1, 12);
    // Columns with 32 and 1 turns in 1024 positions: 8·ln(1024/(turns·2π))/(2·ln 10000) = 0.71 and
    // 2.21, so the ramp goes from 0 to 3.
    expect(frequencies).toBeAllclose(
      [1, 0.1 * (2 / 3 + 1 / 12), 0.01 * (1 / 3 + 2 / 12), 0.001 / 4],
      { rtol: 1e-5 },
    );
  });

  test('a scaling that is not known or lacks a number is named', () => {
    expect(() => ropeFrequencies({ ...plain, scaling: { rope_type: 'longer' } })).toThrow(
      /rope_type must be one of default, linear, dynamic, llama3, yarn, longrope, got "longer"/,
    );
    expect(() => ropeFrequencies({ ...plain, scaling: { rope_type: 'linear' } })).toThrow(
      'rope: factor of linear scaling must be a number, got undefined.',
    );
  });
});
