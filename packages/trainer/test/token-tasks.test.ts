/**
 * Language models, taggers and embeddings: what their losses are, against transformers' numbers and
 * the formulas.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  architectureFor,
  loadModel,
  type HeadOptions,
  type MethodSpec,
  type Model,
  type ModelBatch,
} from '@peft/core';
import { entityF1, tokenData, type TokenBatch } from '@peft/data';
import { openCheckpoint } from '@peft/hub';
import { lora } from '@peft/lora';
import { architectures } from '@peft/models';
import { crossEntropy, gatherRows, type Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { promptTuning } from '@peft/prompt-tuning';
import { fixtureTensors } from '@peft/testing';
import {
  causalLanguageModel,
  embeddings,
  forwardTask,
  perplexityScore,
  predict,
  retrievalScore,
  seq2seqLanguageModel,
  tagScore,
  tokenClassification,
  type CausalBatch,
  type Seq2SeqBatch,
  type Task,
} from '../src/index.js';

const FIXTURES = fileURLToPath(new URL('../../testing/fixtures/models', import.meta.url));

let engine: Engine;
beforeAll(async () => {
  engine = await createPortableEngine();
  await engine.activate();
});
afterAll(() => engine.dispose());

function open(name: string, head: HeadOptions): Model {
  const folder = join(FIXTURES, name);
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const store = openCheckpoint(folder);
  try {
    return loadModel(architectureFor(config['model_type'], architectures), config, store, engine, {
      head,
    });
  } finally {
    store.close();
  }
}

interface PaddedCase {
  readonly batch: {
    readonly input_ids: number[][];
    readonly attention_mask: number[][];
    readonly labels: number[][];
  };
}
const caseOf = (name: string): PaddedCase =>
  JSON.parse(readFileSync(join(FIXTURES, name, 'case.json'), 'utf8')) as PaddedCase;
const attended = (rows: number[][], mask: number[][]): number[][] =>
  rows.map((row, b) => row.filter((_, t) => mask[b]![t] === 1));

function causalRows(name: string): { inputIds: number[]; labels: number[] }[] {
  const { input_ids, attention_mask, labels } = caseOf(name).batch;
  const kept = attended(labels, attention_mask);
  return attended(input_ids, attention_mask).map((inputIds, b) => ({ inputIds, labels: kept[b]! }));
}

const lossOf = <B extends CausalBatch | Seq2SeqBatch>(
  task: Task<B>,
  model: Model,
  batch: B,
): number =>
  tf.tidy(() => task.loss(forwardTask(task, model, batch, {}), batch).dataSync()[0]!) /
  task.count(batch);

function predicted<B extends ModelBatch, P>(
  task: Task<B, P>,
  model: Model,
  batch: B,
): readonly P[] {
  let predictions: readonly P[] = [];
  tf.tidy(() => void (predictions = task.predict(forwardTask(task, model, batch, {}), batch)));
  return predictions;
}

/** Σ loss and its gradients by name, of the adapter. */
function gradientsOf<B extends TokenBatch>(
  task: Task<B>,
  model: Model,
  batch: B,
): { readonly loss: number; readonly gradients: Record<string, Float32Array> } {
  const parameters = model.trainables();
  return tf.tidy(() => {
    const { value, grads } = tf.variableGrads(
      () => task.loss(forwardTask(task, model, batch, {}), batch),
      parameters.map(({ value: variable }) => variable),
    );
    return {
      loss: value.dataSync()[0]!,
      gradients: Object.fromEntries(
        parameters.map(({ name, value: variable }) => [
          name,
          grads[variable.name]!.dataSync<'float32'>().slice(),
        ]),
      ),
    };
  });
}

function addRandom(model: Model, spec: MethodSpec): void {
  for (const { value } of model.addAdapter('default', spec, { seed: 2 }).parameters.values())
    tf.tidy(() => value.assign(tf.add(value, tf.randomNormal(value.shape, 0, 0.1, 'float32', 4))));
}

describe('causal language modelling', () => {
  const task = causalLanguageModel();

  test.each(['llama', 'gpt2', 'qwen2', 'gemma2'])(
    'the mean loss of %s is that of transformers',
    (name) => {
      const before = tf.memory().numTensors;
      const model = open(name, { kind: 'causal-lm' });
      const rows = causalRows(name);
      const batch = tokenData(rows.map((row) => [row])).pack([...rows.keys()]) as CausalBatch;
      expect(lossOf(task, model, batch)).toBeCloseTo(
        fixtureTensors(join(FIXTURES, name, 'expected.safetensors'))
          .get('loss')!
          .values()[0]!,
        4,
      );
      model.dispose();
      expect(tf.memory().numTensors).toBe(before);
    },
  );

  test.each<[string, MethodSpec]>([
    ['beside the output layer', lora({ rank: 2, targets: ['q_proj'] })],
    ['on the output layer', lora({ rank: 2, targets: ['lm_head', 'v_proj'] })],
    ['of virtual tokens', promptTuning({ virtualTokens: 3 })],
  ])(
    'with an adapter %s loss and gradients are those of all logits, and sum up over any split',
    (_, spec) => {
      const model = open('llama', { kind: 'causal-lm' });
      addRandom(model, spec);
      const rows = causalRows('llama').slice(0, 3);
      const data = tokenData(rows.map((row) => [row]));
      const batch = data.pack([0, 1, 2]) as CausalBatch;
      const whole = gradientsOf(task, model, batch);
      // The same by way of all logits: row n − 1 of a sequence gives token n.
      const plain: Task<CausalBatch> = {
        ...task,
        forward: (m, b, options) => m.forward(b, options),
        loss: (output, { offsets, tokenLabels }) => {
          const extra = (output.offsets.at(-1)! - offsets.at(-1)!) / (offsets.length - 1);
          const labels = new Int32Array(output.offsets.at(-1)!).fill(-100);
          for (let b = 0; b + 1 < offsets.length; b += 1)
            for (let n = offsets[b]! + 1; n < offsets[b + 1]!; n += 1)
              labels[n - 1 + (b + 1) * extra] = tokenLabels[n]!;
          return tf.sum(crossEntropy(output.logits!, labels));
        },
      };
      const expected = gradientsOf(plain, model, batch);
      expect(whole.loss).toBeCloseTo(expected.loss, 2);
      const parts = [
        gradientsOf(task, model, data.pack([0]) as CausalBatch),
        gradientsOf(task, model, data.pack([1, 2]) as CausalBatch),
      ];
      expect(parts.reduce((sum, { loss }) => sum + loss, 0)).toBeCloseTo(whole.loss, 2);
      for (const [name, gradient] of Object.entries(whole.gradients)) {
        const largest = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        expect(largest).toBeGreaterThan(0);
        gradient.forEach((value, i) => {
          expect(Math.abs(value - expected.gradients[name]![i]!)).toBeLessThan(1e-4 * largest);
          expect(
            Math.abs(value - parts[0]!.gradients[name]![i]! - parts[1]!.gradients[name]![i]!),
          ).toBeLessThan(1e-4 * largest);
        });
      }
      model.dispose();
    },
  );

  test('sequences that share a row see only themselves, and its prediction is what they cost together', async () => {
    const model = open('llama', { kind: 'causal-lm' });
    const rows = causalRows('llama').slice(0, 3);
    const apart = await predict(model, task, tokenData(rows.map((row) => [row])) as never, {
      withLoss: true,
    });
    const together = await predict(
      model,
      task,
      tokenData([rows.slice(0, 2), rows.slice(2)]) as never,
      { withLoss: true },
    );
    expect(together.loss).toBeCloseTo(apart.loss!, 5);
    expect(together.predictions[0]!.loss).toBeCloseTo(
      apart.predictions[0]!.loss + apart.predictions[1]!.loss,
      3,
    );
    expect(together.predictions.map(({ tokens }) => tokens)).toEqual([
      apart.predictions[0]!.tokens + apart.predictions[1]!.tokens,
      apart.predictions[2]!.tokens,
    ]);
    expect(perplexityScore(apart.predictions)['perplexity']).toBeCloseTo(Math.exp(apart.loss!), 2);
    model.dispose();
  });

  test('a model without a head for it, and a batch without labels, are named', () => {
    const model = open('llama', { kind: 'none' });
    const batch = tokenData([[{ inputIds: [1, 2], labels: [-100, 2] }]]).pack([0]) as CausalBatch;
    expect(() => lossOf(task, model, batch)).toThrow(
      'causal-lm: the model has no output layer over the vocabulary.',
    );
    model.dispose();
    expect(() => task.count({ ...batch, tokenLabels: undefined as never })).toThrow(
      'causal-lm: a batch of 2 tokens has no labels.',
    );
  });
});

describe('seq2seq', () => {
  const task = seq2seqLanguageModel();
  test.each(['t5', 'flan-t5', 'mt5'])('the mean loss of %s is that of transformers', (name) => {
    const model = open(name, { kind: 'seq2seq-lm' });
    const { input_ids, attention_mask, labels } = caseOf(name).batch;
    const targets = labels.map((row) => row.filter((label) => label !== -100));
    const pack = (rows: readonly (readonly number[])[]) => ({
      values: Int32Array.from(rows.flat()),
      offsets: Int32Array.from(
        rows.reduce<number[]>((ends, row) => [...ends, ends.at(-1)! + row.length], [0]),
      ),
    });
    const [source, target, shifted] = [
      pack(attended(input_ids, attention_mask)),
      pack(targets),
      pack(targets.map((row) => [0, ...row.slice(0, -1)])),
    ];
    const batch: Seq2SeqBatch = {
      inputIds: source.values,
      offsets: source.offsets,
      decoder: { inputIds: shifted.values, offsets: shifted.offsets },
      tokenLabels: target.values,
      rows: Int32Array.from(targets.keys()),
    };
    const loss = lossOf(task, model, batch);
    expect(loss).toBeCloseTo(
      fixtureTensors(join(FIXTURES, name, 'expected.safetensors'))
        .get('loss')!
        .values()[0]!,
      4,
    );
    const predictions = predicted(task, model, batch);
    expect(predictions.map(({ tokens }) => tokens)).toEqual(targets.map(({ length }) => length));
    expect(perplexityScore(predictions)['perplexity']).toBeCloseTo(Math.exp(loss), 1);
    model.dispose();
  });
});

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
  ])('counts the first token of each word%s', (_, spec) => {
    const model = open('bert', { kind: 'token-classification', outputs: 3 });
    if (spec) addRandom(model, spec);
    tf.tidy(() => {
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
      expect(task.predict(output, batch).map((ids) => [...ids])).toEqual([
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
