import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { previewFit, previewFitData } from '../src/index.js';
import { QUICK, quickPredictor, quickRows } from './quick.js';

it('a preview tells the data, steps and trainable parameters of the fit that follows', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'peft-preview-'));
  try {
    const rows = quickRows(24, 3);
    const tensors = tf.memory().numTensors;
    const preview = await previewFit({ label: 'topic', hyperparameters: QUICK }, rows);
    expect(tf.memory().numTensors).toBe(tensors);
    const { predictor } = quickPredictor({ path: join(folder, 'out') });
    await predictor.fit(rows, { request: { train: 'rows.csv' } });
    predictor.dispose();
    const record = JSON.parse(readFileSync(join(folder, 'out', 'run.json'), 'utf8'));
    expect(record).toMatchObject({
      plannedSteps: preview.steps,
      request: { train: 'rows.csv' },
      engine: preview.engine,
      trainableParameters: preview.plan!.trainableParameters,
      data: {
        training: { rows: preview.examples.rows, sha256: preview.hashes.training },
        validation: { rows: preview.validation.rows, sha256: preview.hashes.validation },
      },
    });
    expect(preview.examples.data.lengths).toHaveLength(preview.train.rows);
    expect(preview.task.classes).toEqual(['health', 'sports', 'travel']);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

it('a preview of the data alone opens no model, and refuses what a fit refuses', async () => {
  const settings = { ...QUICK, 'model.hf_text.checkpoint_name': './no/such/model' };
  const options = { label: 'topic', hyperparameters: settings };
  const { validation, metric } = await previewFitData(options, quickRows(24));
  expect(validation.rows).toBeGreaterThan(0);
  expect(metric.name).toBe('roc_auc');
  await expect(previewFit(options, quickRows(24))).rejects.toThrow('no/such/model');
  await expect(previewFitData({ ...options, label: 'topics' }, quickRows(24))).rejects.toThrow(
    'Did you mean "topic"',
  );
});
