import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { type MethodSpec } from '@peft/core';
import { entityF1, tokenData } from '@peft/data';
import { crossEntropy, gatherRows, readInScope } from '@peft/ops';
import { promptTuning } from '@peft/prompt-tuning';
import { forwardTask, tagScore, tokenClassification } from '../src/index.js';
import { useEngine, open, addRandom } from './fixture-model.js';

useEngine();

describe('token classification', () => {
  const task = tokenClassification({ classes: 3 });
  const batch = {
    ...tokenData([
      [{ inputIds: [2, 30, 31, 40, 3], labels: [-100, 1, -100, 2, -100] }],
      [{ inputIds: [2, 50, 3], labels: [-100, 0, -100] }],
    ]).pack([0, 1]),
    words: Int32Array.of(1, 3, -1, 6),
    wordOffsets: Int32Array.of(0, 3, 4),
  };

  test.each<[string, MethodSpec | undefined]>([
    ['', undefined],
    [' behind virtual tokens', promptTuning({ virtualTokens: 2 })],
  ])('counts the first token of each word%s', async (_, spec) => {
    const model = open('bert', { kind: 'token-classification', outputs: 3 });
    if (spec) addRandom(model, spec);
    await readInScope(async () => {
      const output = forwardTask(task, model, batch, {});
      const extra = output.offsets[1]! - 5;
      const rows = gatherRows(
        output.logits as Tensor2D,
        Int32Array.of(1 + extra, 3 + extra, 6 + 2 * extra),
      );
      expect(task.loss(output, batch).dataSync()[0]).toBeCloseTo(
        tf.sum(crossEntropy(rows, Int32Array.of(1, 2, 0))).dataSync()[0]!,
        5,
      );
      const best = tf.argMax(rows, 1).dataSync();
      expect((await task.predict(output, batch)).map((ids) => [...ids])).toEqual([
        [best[0], best[1], -1],
        [best[2]],
      ]);
    });
    expect(task.count(batch)).toBe(3);
    model.dispose();
  });

  test('scores tags, those of words that were cut off being O', () => {
    const score = tagScore({
      metrics: [entityF1],
      labels: [['B-X', 'O', 'O'], ['B-X']],
      tags: ['O', 'B-X', 'I-X'],
    });
    expect(score([Int32Array.of(1, 0, -1), Int32Array.of(0)])).toEqual({ entity_f1: 2 / 3 }); // 1 of 2 found, 1 made
  });
});
