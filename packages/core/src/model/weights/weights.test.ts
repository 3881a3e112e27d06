import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bert } from '@peft/models';
import type { Engine, FrozenWeight } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { describeModel } from '../form/describe-model.js';
import { randomWeights } from './random-weights.js';
import { isFrozen, loadWeights } from './weights.js';

const description = describeModel(
  bert,
  bert.parseConfig({
    vocab_size: 90,
    hidden_size: 64,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    intermediate_size: 64,
  }),
  { kind: 'sequence-classification', outputs: 2 },
);
const store = randomWeights(description, { dtype: 'F32' });
let engine: Engine;
beforeAll(async () => {
  engine = await createPortableEngine();
  await engine.activate();
});
afterAll(() => engine.dispose());

const formats = (quantization?: Parameters<typeof loadWeights>[3]) => {
  const weights = loadWeights(description, store, engine, quantization);
  const found = Object.fromEntries(
    description.parameters
      .map(({ name }) => [name, weights.get(name)])
      .map(([name, weight]) => [
        name as string,
        isFrozen(weight as FrozenWeight) ? (weight as FrozenWeight).format : 'vector',
      ]),
  );
  const { byteLength } = weights;
  weights.dispose();
  return { found, byteLength };
};

describe('a base of another precision', () => {
  test.each(['bf16', 'f16'] as const)(
    '%s: every matrix is rounded while it is read, embeddings and head included, and takes half',
    (format) => {
      const plain = formats();
      const rounded = formats({ quantization: { format } });
      expect(new Set(Object.values(plain.found))).toEqual(new Set(['f32', 'vector']));
      expect(
        Object.entries(rounded.found).filter(
          ([name, kind]) => kind !== (plain.found[name] === 'vector' ? 'vector' : format),
        ),
      ).toEqual([]);
      const vectorBytes = description.parameters
        .filter(({ name }) => plain.found[name] === 'vector')
        .reduce(
          (sum, { shape }) => sum + 4 * shape.reduce((product, size) => product * size, 1),
          0,
        );
      expect(rounded.byteLength - vectorBytes).toBe((plain.byteLength - vectorBytes) / 2);
    },
  );

  test('modules that are to stay do', () => {
    const { found } = formats({
      quantization: { format: 'bf16', skipModules: ['classifier', 'word_embeddings'] },
    });
    const kept = Object.entries(found)
      .filter(([, kind]) => kind === 'f32')
      .map(([name]) => name);
    expect(kept.map((name) => name.split('.').at(-2))).toEqual(['word_embeddings', 'classifier']);
  });

  test('nf4 is for linear maps alone', () => {
    const { found } = formats({ quantization: { format: 'nf4' } });
    expect(
      Object.entries(found)
        .filter(([, kind]) => kind === 'nf4')
        .every(([name]) => /(query|key|value|dense)\.weight$/.test(name)),
    ).toBe(true);
    expect(Object.values(found)).toContain('f32');
  });
});
