import * as tf from '@tensorflow/tfjs';
import { describePeftMethod, tinyModels, usePortableEngine } from '@peft/testing';
import type { Engine } from '@peft/ops';
import { expect, test } from 'vitest';
import { multitaskPromptTuning, type SourcePrompt } from './multitask-prompt-tuning.js';

const PROMPT = { identityAtStart: false, merges: false, mixes: false } as const;
const count = (length: number): number[] => Array.from({ length }, (_, i) => i / 8);
/** Two tokens of 12 features, rank 1, two tasks. */
const SOURCE: SourcePrompt = { embeddings: count(24), columns: count(4), rows: count(24) };

/** Three tokens, far from zero. */
const LARGE: SourcePrompt = { ...SOURCE, embeddings: count(36).map((x) => 20 + x) };

describePeftMethod(
  multitaskPromptTuning,
  [
    {
      // far enough from zero for the norm behind it to be about straight
      title: 'of two tasks, with the prompt of others',
      options: {
        virtualTokens: 3,
        tasks: 2,
        ranks: 2,
        init: 'source-shared',
        source: LARGE,
      },
      on: ['encoder', 'decoder'],
      ...PROMPT,
    },
    {
      title: 'in front of both stacks',
      options: { virtualTokens: 1, init: 'source-mean', source: SOURCE },
      on: ['encoder-decoder'],
      ...PROMPT,
    },
    {
      title: 'of one, from the mean of others',
      options: { virtualTokens: 2, init: 'source-mean', source: SOURCE },
      on: ['encoder'],
      ...PROMPT,
    },
  ],
  {
    badOptions: [
      {
        options: { tasks: 0 },
        message: 'multitask-prompt-tuning: tasks must be a positive integer, got 0.',
      },
      {
        options: { init: 'source-task' },
        message: "multitask-prompt-tuning: init 'source-task' needs source.",
      },
      {
        options: { init: 'source-mean', source: SOURCE, tasks: 2 },
        message: "init 'source-mean' makes factors of one task, got tasks 2.",
      },
    ],
  },
);

let engine: Engine;
usePortableEngine((made) => (engine = made));

test('a source gives the mean of its factors, those of one task, or its prompt alone', () => {
  const model = tinyModels()[0]!.open(engine);
  const started = (init: 'source-mean' | 'source-task' | 'source-shared', source = SOURCE) => {
    const options = { virtualTokens: 2, init, source, sourceTask: 1 } as const;
    const adapter = model.addAdapter(init, multitaskPromptTuning(options));
    const values = (name: string) => [...adapter.parameters.get(name)!.value.dataSync()];
    const all = ['prompt_embeddings', 'prefix_task_cols', 'prefix_task_rows'].map(values);
    model.deleteAdapter(init);
    return all;
  };
  try {
    const before = tf.memory().numTensors;
    const [embeddings, columns, rows] = started('source-mean');
    expect(embeddings).toEqual(SOURCE.embeddings);
    expect(columns).toEqual([1 / 8, 2 / 8]);
    expect(rows!.slice(0, 2)).toEqual([6 / 8, 7 / 8]);
    expect(started('source-task').slice(1)).toEqual([count(4).slice(2), count(24).slice(12)]);
    const [shared, fresh] = started('source-shared');
    expect(shared).toEqual(SOURCE.embeddings);
    expect(Math.max(...fresh!.map(Math.abs))).toBeLessThan(0.1);
    expect(() => started('source-task', { ...SOURCE, columns: count(2) })).toThrow(
      'source.columns has 2 numbers, and 2 are asked for of each task, the one of number 1',
    );
    expect(tf.memory().numTensors).toBe(before);
  } finally {
    model.dispose();
  }
});
