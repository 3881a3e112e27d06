import { bert } from '@peft/models';
import { decodeFloat32 } from '@peft/ops';
import { describe, expect, test } from 'vitest';
import { describeModel } from '../form/describe-model.js';
import { randomWeights } from './random-weights.js';

const description = describeModel(
  bert,
  bert.parseConfig({
    vocab_size: 900,
    hidden_size: 96,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    intermediate_size: 64,
  }),
  { kind: 'none' },
);
const table = 'embeddings.word_embeddings.weight';
const values = (options: Parameters<typeof randomWeights>[1], name = table) => {
  const { read, dtype } = randomWeights(description, options).get(name)!;
  return decodeFloat32(read(), dtype);
};

describe('random weights', () => {
  test('are the same for the same seed and name, and others for others', () => {
    expect(values({ seed: 1 })).toEqual(values({ seed: 1 }));
    expect(values({ seed: 1 }).slice(0, 4)).not.toEqual(values({ seed: 2 }).slice(0, 4));
    expect(values({}).slice(0, 4)).not.toEqual(
      values({}, 'encoder.layer.0.attention.self.query.weight').slice(0, 4),
    );
  });

  test('have the standard deviation that was asked for, longer tensors than the table of numbers, too', () => {
    const made = values({ standardDeviation: 0.5 });
    expect(made).toHaveLength(900 * 96);
    expect(
      Math.sqrt(made.reduce((sum, value) => sum + value * value, 0) / made.length),
    ).toBeCloseTo(0.5, 2);
  });

  test('are the float32 ones rounded where bfloat16 is asked for', () => {
    const [wide, narrow] = [values({}), values({ dtype: 'BF16' })];
    expect(
      narrow.every((value, i) => Math.abs(value - wide[i]!) <= Math.abs(wide[i]!) * 2 ** -8),
    ).toBe(true);
  });

  test('are 1 in norms and 0 in biases', () => {
    expect(new Set(values({}, 'encoder.layer.0.output.LayerNorm.weight'))).toEqual(new Set([1]));
    expect(new Set(values({}, 'encoder.layer.0.output.dense.bias'))).toEqual(new Set([0]));
  });

  test('read in part as they read whole', () => {
    const source = randomWeights(description, { dtype: 'BF16' }).get(table)!;
    expect(source.read(131_000, 500)).toEqual(source.read().slice(131_000, 131_500)); // across the end of the table of numbers
  });
});
