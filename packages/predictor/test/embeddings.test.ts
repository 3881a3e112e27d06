import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { useTemporaryFolder } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { PeftPredictor, uncheckedMetric } from '../src/index.js';
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

describe('embeddings of several dimensions', () => {
  it('are learnt, scored for each, cut when predicting, and saved with their size', async () => {
    const path = join(folder, 'matryoshka');
    const settings = {
      'env.batch_size': 10,
      'env.per_gpu_batch_size': 10,
      'optim.max_epochs': 2,
      'optim.matryoshka_dimensions': [8, 48],
      'optim.matryoshka_weights': [1, 0.5],
      'model.hf_text.truncate_dim': 16,
    };
    const { predictor, events } = predictorOf('embeddings', 'bert', {
      path,
      evalMetric: 'top1@8',
      hyperparameters: settings,
    });
    await fitted(predictor, similar);
    const checked = events.find((event) => event.type === 'evaluation/completed');
    expect(Object.keys(checked!.metrics).sort()).toEqual(
      ['mean_reciprocal_rank', 'top1']
        .flatMap((name) => [name, `${name}@8`, `${name}@48`])
        .concat('loss')
        .sort(),
    );
    const rows = [{ anchor: 'the cat' }];
    const [whole] = await predictor.predict<Float32Array>(rows, { dimensions: 48 });
    const [cut] = await predictor.predict<Float32Array>(rows);
    expect([whole!.length, cut!.length]).toEqual([48, 16]);
    const length = Math.hypot(...whole!.subarray(0, 16));
    cut!.forEach((value, i) => expect(value).toBeCloseTo(whole![i]! / length, 5));
    await expect(predictor.predict(rows, { dimensions: 64 })).rejects.toThrow(
      "the model's embeddings have 48 dimensions, 64 were asked for",
    );
    const scores = await predictor.evaluate(similar, {
      metrics: ['top1@4', uncheckedMetric('mean-reciprocal-rank')],
    });
    expect(Object.keys(scores)).toEqual(['top1@4', 'mean-reciprocal-rank']);
    await expect(
      predictor.evaluate(similar, { metrics: uncheckedMetric('topp1@4') }),
    ).rejects.toThrow('Did you mean "top1"?');
    predictor.dispose();
    const config = readFileSync(join(path, 'model/config_sentence_transformers.json'), 'utf8');
    expect(JSON.parse(config)).toEqual({ truncate_dim: 16 });
    const saved = (name: string): unknown =>
      JSON.parse(readFileSync(join(path, 'model', name), 'utf8'));
    expect(saved('modules.json')).toEqual([
      { idx: 0, name: '0', path: '', type: 'sentence_transformers.models.Transformer' },
      { idx: 1, name: '1', path: '1_Pooling', type: 'sentence_transformers.models.Pooling' },
      { idx: 2, name: '2', path: '2_Normalize', type: 'sentence_transformers.models.Normalize' },
    ]);
    expect(saved('1_Pooling/config.json')).toMatchObject({ word_embedding_dimension: 48 });
    expect(saved('sentence_bert_config.json')).toMatchObject({ do_lower_case: false });
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predict(rows)).toEqual([cut]);
    loaded.dispose();
    const wide = predictorOf('embeddings', 'bert', {
      hyperparameters: { 'optim.matryoshka_dimensions': [8, 49] },
    });
    await expect(fitted(wide.predictor, similar)).rejects.toThrow('have 48 dimensions, 49 were');
    wide.predictor.dispose();
  });
});
