import { join } from 'node:path';
import { useTemporaryFolder } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { PeftPredictor } from '../src/index.js';
import { fitted, NOUNS, predictorOf } from './quick-tasks.js';

let folder: string;
useTemporaryFolder((path) => (folder = path));

const similar = NOUNS.map((noun) => ({ anchor: `the ${noun}`, positive: `a ${noun} here` }));

describe('embeddings', () => {
  it('bring texts together that belong together', async () => {
    const path = join(folder, 'embeddings');
    const { predictor } = predictorOf('embeddings', 'bert', {
      path,
      hyperparameters: { 'env.batch_size': 10, 'env.per_gpu_batch_size': 10 },
    });
    await fitted(predictor, similar);
    expect(predictor.fitSummary().metric).toBe('mean_reciprocal_rank');
    const [embedding] = await predictor.predict<Float32Array>([{ anchor: 'the cat' }]);
    expect(embedding!.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(1, 5);
    expect(await predictor.extractEmbedding([{ anchor: 'the cat' }])).toEqual([embedding]);
    predictor.dispose();
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predict([{ anchor: 'the cat' }])).toEqual([embedding]);
    loaded.dispose();
  });
});
