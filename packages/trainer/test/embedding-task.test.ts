import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { tokenData } from '@peft/data';
import { lora } from '@peft/lora';
import { embeddings, forwardTask, retrievalScore } from '../src/index.js';
import { useEngine, open, predicted } from './fixture-model.js';

useEngine();

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
    (symmetric) => {
      const model = open('bert', { kind: 'none' });
      const task = embeddings({ temperature: 0.1, symmetric });
      tf.tidy(() => {
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
        task
          .predict(output, batch)
          .flat()
          .forEach((vector, b) =>
            vector.forEach((value, d) => expect(value).toBeCloseTo(vectors[b]![d]!, 5)),
          );
      });
      expect(task.count(batch)).toBe(3);
      model.dispose();
    },
  );

  test('learn to find their own texts', () => {
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
    const predictions = predicted(task, model, batch);
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
