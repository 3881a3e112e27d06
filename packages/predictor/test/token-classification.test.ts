import { join } from 'node:path';
import { useTemporaryFolder } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { PeftPredictor } from '../src/index.js';
import { fitted, predictorOf, tagged } from './quick-tasks.js';

let folder: string;
useTemporaryFolder((path) => (folder = path));

describe('token classification', () => {
  it('tags words, and is scored by the F1 of entities', async () => {
    const path = join(folder, 'tags');
    const { predictor } = predictorOf('token-classification', 'bert', {
      path,
      hyperparameters: {
        'optim.lr_choice': 'single_stage',
        'optim.max_epochs': 30,
        'optim.lr': 1e-2,
      },
    });
    await fitted(predictor, tagged);
    expect(predictor.evalMetricName).toBe('entity_f1');
    expect(await predictor.evaluate(tagged)).toEqual({ entity_f1: 1 });
    expect(
      await predictor.predict([
        { tokens: ['the', 'cat', 'of', 'London'] },
        { tokens: 'the hen of London' },
      ]),
    ).toEqual([
      ['O', 'B-ANIMAL', 'O', 'B-LOC'],
      ['O', 'B-ANIMAL', 'O', 'B-LOC'],
    ]);
    await expect(predictor.evaluate([{ tokens: ['a'], tags: ['B-ANIMEL'] }])).rejects.toMatchObject(
      {
        code: 'PEFT_TAGS_INVALID',
        message: expect.stringContaining('Did you mean "B-ANIMAL"') as string,
      },
    );
    predictor.dispose();
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.evaluate(tagged)).toEqual({ entity_f1: 1 });
    loaded.dispose();
  });
});
