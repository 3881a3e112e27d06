import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { tokenData } from '@peft/data';
import { readInScope } from '@peft/ops';
import { lora } from '@peft/lora';
import { expectGradients, seededTensor } from '@peft/testing';
import { embeddings, forwardTask, retrievalScore, truncateEmbedding } from '../src/index.js';
import { useEngine, open, predicted } from './fixture-model.js';

useEngine();

describe('Matryoshka embeddings', () => {
  const offsets = Int32Array.of(0, 1, 2, 3, 4);
  const batch = {
    inputIds: new Int32Array(4),
    offsets,
    exampleOffsets: Int32Array.of(0, 2, 4),
  };
  const options = { temperature: 0.5, dimensions: [2, 5], dimensionWeights: [1, 0.25] };
  const lossOf = (hidden: Tensor): Scalar =>
    embeddings(options).loss({ hidden: hidden as Tensor2D, offsets }, batch);

  test('cost the weighted sum of what the embeddings cut to each dimension cost', () => {
    const hidden = seededTensor<Tensor2D>('h', [4, 5], 1);
    const rows = hidden.arraySync();
    // two anchors (rows 0, 2), each with its own text (rows 1, 3)
    const expected = [2, 5].map((size) => {
      const cut = rows.map((row) => row.slice(0, size));
      const unit = cut.map((row) => row.map((value) => value / Math.hypot(...row)));
      const near = (a: number, b: number): number =>
        unit[a]!.reduce((sum, value, d) => sum + value * unit[b]![d]!, 0) / 0.5;
      return [0, 2].reduce(
        (sum, a) => sum + Math.log(Math.exp(near(a, 1)) + Math.exp(near(a, 3))) - near(a, a + 1),
        0,
      );
    });
    const loss = tf.tidy(() => lossOf(hidden).dataSync()[0]!);
    expect(loss).toBeCloseTo(expected[0]! + 0.25 * expected[1]!, 5);
    tf.tidy(() => expectGradients(lossOf, [hidden]));
    hidden.dispose();
    expect([...truncateEmbedding(Float32Array.of(3, 4, 12), 2)]).toEqual([
      expect.closeTo(0.6, 6),
      expect.closeTo(0.8, 6),
    ]);
  });

  test('are refused where dimensions and weights do not go together', () => {
    expect(() => embeddings({ dimensions: [2, 2] })).toThrow('name each dimension once');
    expect(() => embeddings({ dimensions: [2], dimensionWeights: [1, 1] })).toThrow(
      expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' }),
    );
    const hidden = tf.zeros<tf.Rank.R2>([4, 3]);
    expect(() => tf.tidy(() => lossOf(hidden))).toThrow('have 3 dimensions, 5 were asked for');
    hidden.dispose();
  });
});

describe('embeddings', () => {
  const rows = [
    [
      [5, 6, 7],
      [8, 9],
    ],
    [[10], [11, 12, 13]],
    [[14, 15], [16]],
  ].map((texts) => texts.map((inputIds) => ({ inputIds, labels: inputIds.map(() => -100) })));
  const batch = tokenData(rows).pack([0, 1, 2]);

  test.each([false, true])(
    'cost −ln softmax of the cosines to all texts of the batch (symmetric: %s)',
    async (symmetric) => {
      const model = open('bert', { kind: 'none' });
      const task = embeddings({ temperature: 0.1, symmetric });
      await readInScope(async () => {
        const output = forwardTask(task, model, batch, {});
        const hidden = output.hidden.arraySync();
        const vectors = Array.from({ length: 6 }, (_, b) => {
          const own = hidden.slice(batch.offsets[b], batch.offsets[b + 1]);
          const mean = own[0]!.map(
            (_, d) => own.reduce((sum, row) => sum + row[d]!, 0) / own.length,
          );
          const length = Math.hypot(...mean);
          return mean.map((value) => value / length);
        });
        const cosine = (a: number[], b: number[]) =>
          a.reduce((sum, value, d) => sum + value * b[d]!, 0) / 0.1;
        const cost = (from: number[][], to: number[][]) =>
          from.reduce(
            (sum, vector, r) =>
              sum +
              Math.log(to.reduce((total, other) => total + Math.exp(cosine(vector, other)), 0)) -
              cosine(vector, to[r]!),
            0,
          );
        const [anchors, positives] = [
          [0, 2, 4].map((b) => vectors[b]!),
          [1, 3, 5].map((b) => vectors[b]!),
        ];
        const expected = symmetric
          ? (cost(anchors, positives) + cost(positives, anchors)) / 2
          : cost(anchors, positives);
        expect(task.loss(output, batch).dataSync()[0]).toBeCloseTo(expected, 3);
        (await task.predict(output, batch))
          .flat()
          .forEach((vector, b) =>
            vector.forEach((value, d) => expect(value).toBeCloseTo(vectors[b]![d]!, 5)),
          );
      });
      expect(task.count(batch)).toBe(3);
      model.dispose();
    },
  );

  test('learn to find their own texts', async () => {
    const model = open('bert', { kind: 'none' });
    model.addAdapter(
      'default',
      lora({ rank: 8, targets: ['query', 'value', 'intermediate.dense', 'output.dense'] }),
    );
    const task = embeddings({ temperature: 0.5 });
    const optimizer = tf.train.adam(0.01);
    const variables = model.trainables().map(({ value }) => value);
    for (let step = 0; step < 30; step += 1)
      tf.tidy(
        () =>
          void optimizer.minimize(
            () => task.loss(forwardTask(task, model, batch, {}), batch),
            false,
            variables,
          ),
      );
    const predictions = await predicted(task, model, batch);
    expect(retrievalScore(predictions)).toEqual({ top1: 1, mean_reciprocal_rank: 1 });
    optimizer.dispose();
    model.dispose();
  });

  test('need pairs, and say so', () => {
    const single = tokenData(rows.map(([first]) => [first!])).pack([0, 1]);
    expect(() =>
      tf.tidy(() =>
        embeddings().loss({ hidden: tf.zeros([4, 2]), offsets: single.offsets }, single),
      ),
    ).toThrow('embeddings: an example has 1 text, an anchor and a text like it are needed.');
  });

  test('are ranked among all texts', () => {
    const unit = (angle: number) => Float32Array.of(Math.cos(angle), Math.sin(angle));
    expect(
      retrievalScore([
        [unit(0), unit(0.1)],
        [unit(1), unit(1.1)],
        [unit(2), unit(0)],
      ]),
    ).toEqual({ top1: 1 / 3, mean_reciprocal_rank: (1 / 2 + 1 + 1 / 3) / 3 });
  });
});
