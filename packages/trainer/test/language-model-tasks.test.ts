/** Language models: what their losses are, against transformers' numbers and the formulas. */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { type MethodSpec } from '@peft/core';
import { tokenData } from '@peft/data';
import { lora } from '@peft/lora';
import { crossEntropy } from '@peft/ops';
import { promptTuning } from '@peft/prompt-tuning';
import { fixtureTensors } from '@peft/testing';
import {
  causalLanguageModel,
  perplexityScore,
  predict,
  seq2seqLanguageModel,
  type CausalBatch,
  type Seq2SeqBatch,
  type Task,
  type TrainingData,
} from '../src/index.js';
import {
  useEngine,
  FIXTURES,
  open,
  caseOf,
  attended,
  causalRows,
  lossOf,
  predicted,
  gradientsOf,
  addRandom,
} from './fixture-model.js';

useEngine();

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

  test('sequences that share a row see only themselves; its prediction is their cost together', async () => {
    const model = open('llama', { kind: 'causal-lm' });
    const rows = causalRows('llama').slice(0, 3);
    const apart = await predict(
      model,
      task,
      tokenData(rows.map((row) => [row])) as TrainingData<CausalBatch>,
      {
        withLoss: true,
      },
    );
    const together = await predict(
      model,
      task,
      tokenData([rows.slice(0, 2), rows.slice(2)]) as TrainingData<CausalBatch>,
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
    const { tokenLabels: _labels, ...unlabelled } = batch;
    expect(() => task.count(unlabelled as CausalBatch)).toThrow(
      'causal-lm: a batch of 2 tokens has no labels.',
    );
  });
});

describe('seq2seq', () => {
  const task = seq2seqLanguageModel();
  test.each(['t5', 'flan-t5', 'mt5'])(
    'the mean loss of %s is that of transformers',
    async (name) => {
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
      const predictions = await predicted(task, model, batch);
      expect(predictions.map(({ tokens }) => tokens)).toEqual(targets.map(({ length }) => length));
      expect(perplexityScore(predictions)['perplexity']).toBeCloseTo(Math.exp(loss), 1);
      model.dispose();
    },
  );
});
