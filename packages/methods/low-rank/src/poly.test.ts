/** What no case of PEFT's shows: skills drawn while training, and batches that name no task. */
import * as tf from '@tensorflow/tfjs';
import type { Adapter, Model, RunOptions } from '@peft/core';
import type { Engine } from '@peft/ops';
import { moveParameters, tinyModels, useModel, usePortableEngine } from '@peft/testing';
import { expect, test } from 'vitest';
import { poly, type PolyConfig } from './poly.js';

let engine: Engine;
let model: Model;
usePortableEngine((made) => (engine = made));
useModel(
  () => tinyModels()[0]!.open(engine),
  (made) => (model = made),
);
const { batch } = tinyModels()[0]!;
const logits = (options: RunOptions = {}, of = batch): number[] =>
  tf.tidy(() => [...model.forward(of, options).logits!.dataSync()]);

/** On a decoder, which drops nothing of its own. */
function onDecoder(
  options: Partial<PolyConfig>,
  check: (run: RunModel, of: Adapter) => void,
): void {
  const { open, batch: own } = tinyModels()[2]!;
  const decoder = open(engine);
  try {
    const adapter = decoder.addAdapter('a', poly(options));
    moveParameters(adapter, 'a', 0.3);
    const run: RunModel = (settings = {}) =>
      tf.tidy(() => [...decoder.forward(own, settings).logits!.dataSync()]);
    check(run, adapter);
  } finally {
    decoder.dispose();
  }
}
type RunModel = (settings?: RunOptions) => number[];

test('while training the skills are drawn for each step anew, by their chances', () =>
  onDecoder({ rank: 2, tasks: 2, skills: 3 }, (run, { parameters }) => {
    const drawn = (step: number) => run({ training: true, randomParts: [step] });
    expect(drawn(1)).toEqual(drawn(1));
    expect(drawn(1)).not.toEqual(drawn(2));
    for (const [name, { value }] of parameters)
      if (name.endsWith('module_logits'))
        tf.tidy(() =>
          value.assign(
            tf.tensor2d([
              [60, -60, 60],
              [-60, 60, -60],
            ]),
          ),
        );
    expect(drawn(3)).toBeAllclose(run(), { atol: 1e-5 }); // as good as certain
  }));

test('a skill without others is always taken whole', () =>
  onDecoder({ rank: 2, skills: 1 }, (run) =>
    expect(run({ training: true })).toBeAllclose(run(), { atol: 1e-5 }),
  ));

test('tasks differ, and a sequence is computed by its own alone', () => {
  moveParameters(model.addAdapter('a', poly({ rank: 2, tasks: 2, skills: 3 })), 'a', 0.5);
  const of = (...ids: number[]) => logits({}, { ...batch, taskIds: Int32Array.from(ids) });
  const [mixed, zeros, ones] = [of(0, 1, 0), of(0, 0, 0), of(1, 1, 1)];
  expect(mixed.slice(0, 3)).toEqual(zeros.slice(0, 3));
  expect(mixed.slice(3, 6)).toEqual(ones.slice(3, 6));
  expect(mixed.slice(3, 6)).not.toEqual(zeros.slice(3, 6));
});

test('a batch without tasks, with an unknown one or too few is refused', () => {
  model.addAdapter('a', poly({ rank: 2, tasks: 2 }));
  const withIds = (taskIds?: Int32Array) => () => logits({}, { ...batch, taskIds });
  expect(withIds(undefined)).toThrow(
    /query: an adapter there has 2 tasks, and the batch does not say which/,
  );
  expect(withIds(Int32Array.of(0, 2, 1))).toThrow(/is of task 2, .* has tasks 0 to 1/);
  expect(withIds(Int32Array.of(0, 1))).toThrow('a batch of 3 sequences has 2 task ids');
  expect(() => model.addAdapter('b', poly({ splits: 5 }))).toThrow(
    /5 splits do not divide .*query/,
  );
});
