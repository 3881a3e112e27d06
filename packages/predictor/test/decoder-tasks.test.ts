/**
 * Decoders that classify, estimate, tag and embed: what they say of a text depends on all of it, and
 * not on the texts beside it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { PeftPredictor, PredictorData, TaskName } from '../src/index.js';
import { fitted, NOUNS, predictorOf, tagged } from './quick-tasks.js';
import { smallModel } from './small-model.js';

const folder = mkdtempSync(join(tmpdir(), 'peft-decoder-tasks-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** All texts begin alike, so that a first token could not tell them apart. */
const textOf = (i: number): string => `the ${NOUNS[i]!}${' is good'.repeat(i % 4)}`;
const ROWS: Partial<Record<TaskName, readonly object[]>> = {
  classification: NOUNS.map((_, i) => ({ text: textOf(i), label: i % 2 ? 'odd' : 'even' })),
  regression: NOUNS.map((_, i) => ({ text: textOf(i), label: i / 4 })),
  'token-classification': tagged,
  embeddings: NOUNS.map((noun, i) => ({ anchor: textOf(i), positive: `the ${noun}` })),
};

const told = async (predictor: PeftPredictor, rows: PredictorData): Promise<readonly unknown[]> =>
  predictor.task === 'classification' ? predictor.predictProba(rows) : predictor.predict(rows);

const cases = Object.keys(ROWS).flatMap((task) =>
  ['cls', 'mean'].map((pooling) => [task as TaskName, pooling as 'cls' | 'mean'] as const),
);
it.each(cases.filter(([task, pooling]) => task !== 'token-classification' || pooling === 'cls'))(
  '%s, pooling mode %s',
  async (task, pooling) => {
    const rows = ROWS[task] as PredictorData & readonly object[];
    const hasLabel = task === 'classification' || task === 'regression';
    const { predictor } = predictorOf(task, 'llama', {
      label: hasLabel ? 'label' : undefined,
      hyperparameters: {
        'model.hf_text.checkpoint_name': smallModel('llama', join(folder, `${task}-${pooling}`)),
        'model.hf_text.pooling_mode': pooling,
        'optim.max_steps': 4,
      },
    });
    await fitted(predictor, rows);
    const answers = await told(predictor, rows);
    // the tags are the same for every row
    if (task !== 'token-classification')
      expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(rows.length);
    for (const [i, row] of rows.entries())
      expect(await told(predictor, [row] as PredictorData), `row ${i}`).toEqual([answers[i]]);
    predictor.dispose();
  },
);
