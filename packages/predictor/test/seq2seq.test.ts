import { join } from 'node:path';
import { useTemporaryFolder } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { PeftPredictor } from '../src/index.js';
import { fitted, NOUNS, predictorOf } from './quick-tasks.js';

let folder: string;
useTemporaryFolder((path) => (folder = path));

const pairs = NOUNS.map((noun) => ({ source: `two ${noun}`, target: `${noun} ${noun}` }));

describe('an encoder-decoder', () => {
  it('learns targets from sources, and writes them', async () => {
    const path = join(folder, 'pairs');
    const { predictor } = predictorOf('seq2seq', 't5', {
      path,
      evalMetric: 'rougeL',
      hyperparameters: { 'optim.max_epochs': 2 },
    });
    await fitted(predictor, pairs);
    const { scores, predictions } = await predictor.evaluate<string>(pairs, {
      metrics: ['rougeL', 'bleu', 'perplexity'],
      returnPredictions: true,
      writing: { beams: 2 },
    });
    expect(Object.keys(scores)).toEqual(['rougeL', 'bleu', 'perplexity']);
    expect(predictions).toHaveLength(pairs.length);
    const written = await predictor.predict([{ source: 'two cat' }]);
    predictor.dispose();
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predict([{ source: 'two cat' }])).toEqual(written);
    loaded.dispose();
  });
});
