import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Module } from '@peft/core';
import { tableFromRows, type Metric } from '@peft/data';
import { PeftError } from '@peft/errors';
import { openCheckpoint } from '@peft/hub';
import { lora } from '@peft/lora';
import { createPortableEngine } from '@peft/portable';
import { CLOCK } from '@peft/trainer';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chooseEngine, ENGINE_CHOOSER, PeftPredictor } from '../src/index.js';
import { MODEL, QUICK, quickPredictor, quickRows } from './quick.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-predictor-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const adapterOf = (path: string): Buffer =>
  readFileSync(join(path, 'adapter/adapter_model.safetensors'));

describe('a predictor of two classes', () => {
  it('learns, is saved, loads again with equal predictions, and leaves no tensor behind', async () => {
    await tf.ready();
    const before = tf.memory().numTensors;
    const path = join(folder, 'topics');
    const { predictor, events } = quickPredictor({ path, evalMetric: 'log_loss' });
    const train = quickRows(40);
    expect(await predictor.fit(train, { timeLimitSeconds: 600 })).toBe(predictor);

    expect(predictor.problemType).toBe('binary');
    expect(predictor.evalMetricName).toBe('log_loss');
    expect(predictor.classLabels).toEqual(['health', 'sports']);
    expect(predictor.positiveClass).toBe('sports');
    expect(predictor.textColumns).toEqual(['text']);
    // 4 layers · 2 projections · 256 of IA3, all biases, head 2·256 + 2
    expect(predictor.trainableParameters).toBe(
      events.flatMap((event) =>
        event.type === 'run/started' ? [event.trainableParameters] : [],
      )[0],
    );
    expect(predictor.modelSizeMegabytes).toBeCloseTo((predictor.totalParameters * 4) / 1e6, 12);
    const summary = predictor.fitSummary();
    expect(summary).toMatchObject({
      metric: 'log_loss',
      steps: 8,
      reason: 'completed',
      trainingRows: 32,
      validationRows: 8,
      method: 'ia3_bias',
    });
    expect(summary.validationScore).toBeLessThan(Math.log(2)); // of a guess
    const lastEpoch = events.flatMap((event) =>
      event.type === 'step/completed' && event.epoch === 1 ? [event.loss] : [],
    );
    expect(summary.trainingLoss).toBeCloseTo(
      lastEpoch.reduce((sum, loss) => sum + loss, 0) / lastEpoch.length,
      12,
    );
    // Checked at the middle and the end of both epochs of 4 steps.
    expect(
      events.flatMap((event) => (event.type === 'evaluation/completed' ? [event.step] : [])),
    ).toEqual([2, 4, 6, 8]);
    expect(summary.averagedSteps.every((step) => [2, 4, 6, 8].includes(step))).toBe(true);

    const scores = await predictor.evaluate(train, { metrics: ['acc', 'roc_auc', 'log_loss'] });
    expect(Object.keys(scores)).toEqual(['acc', 'roc_auc', 'log_loss']);
    expect(scores['acc']).toBeGreaterThan(0.9);
    const { predictions, scores: again } = await predictor.evaluate(train, {
      returnPredictions: true,
    });
    expect(again['log_loss']).toBe(scores['log_loss']);
    expect(predictions).toEqual(await predictor.predict(train));
    const probabilities = await predictor.predictProba(train.slice(0, 5));
    expect(await predictor.predictProba(train.slice(0, 5), { asMulticlass: false })).toEqual(
      probabilities.map((row) => row[1]),
    );
    for (const row of probabilities) expect(row[0]! + row[1]!).toBeCloseTo(1, 12);
    const embeddings = await predictor.extractEmbedding(train.slice(0, 3));
    expect(embeddings.map(({ length }) => length)).toEqual([256, 256, 256]);

    expect(readdirSync(path).sort()).toEqual([
      'adapter',
      'events.jsonl',
      'model',
      'predictor.json',
      'run.json',
    ]);
    const card = readFileSync(join(path, 'adapter', 'README.md'), 'utf8');
    for (const [name, value] of [
      ['training rows', 32],
      ['validation rows', 8],
      ['log_loss (validation)', Number(summary.validationScore.toPrecision(6))],
      ['training loss (last epoch)', Number(summary.trainingLoss!.toPrecision(6))],
      ['optimiser steps', 8],
      ['engine', summary.engine],
    ])
      expect(card).toContain(`| ${name} | ${value} |`);
    expect(card).toContain(
      `${predictor.trainableParameters.toLocaleString('en')} trainable of ` +
        `${predictor.totalParameters.toLocaleString('en')} parameters`,
    );
    const copy = join(folder, 'copy');
    await predictor.save(copy, { standalone: false });
    expect(readdirSync(join(copy, 'model'))).not.toContain('model.safetensors');
    expect(adapterOf(copy)).toEqual(adapterOf(path));
    predictor.dispose();
    expect(tf.memory().numTensors).toBe(before);

    for (const saved of [path, copy]) {
      const loaded = await PeftPredictor.load(saved, { engine: 'portable' });
      expect(await loaded.predictProba(train.slice(0, 5))).toEqual(probabilities);
      expect(loaded.fitSummary()).toEqual(summary);
      expect(loaded.path).toBe(saved);
      loaded.dispose();
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  it('watches roc_auc by default, and stops when it cannot be better', async () => {
    const { predictor } = quickPredictor({ hyperparameters: { 'optim.max_epochs': 50 } });
    await predictor.fit(quickRows(40));
    expect(predictor.evalMetricName).toBe('roc_auc');
    expect(predictor.fitSummary()).toMatchObject({ validationScore: 1, reason: 'stopped-early' });
    predictor.dispose();
  });

  it("writes an adapter in PEFT's layout, with biases and head", async () => {
    const { predictor } = quickPredictor({
      path: folder,
      hyperparameters: { 'optim.max_epochs': 1 },
    });
    await predictor.fit(quickRows(20));
    predictor.dispose();
    const config = JSON.parse(
      readFileSync(join(folder, 'adapter/adapter_config.json'), 'utf8'),
    ) as Record<string, unknown>;
    expect(config).toMatchObject({
      peft_type: 'IA3',
      base_model_name_or_path: MODEL,
      feedforward_modules: [],
    });
    const store = openCheckpoint(join(folder, 'adapter'));
    const names = store.names();
    expect(names).toContain('base_model.model.encoder.layer.0.attention.self.query_proj.ia3_l');
    expect(names).toContain(
      'base_model.model.encoder.layer.0.attention.self.query_proj.base_layer.bias',
    );
    expect(names).toContain('base_model.model.encoder.layer.0.attention.self.key_proj.bias');
    expect(names).toEqual(
      expect.arrayContaining(['base_model.model.head.weight', 'base_model.model.head.bias']),
    );
    store.close();
  });

  it('goes on training with a second fit, in the same process or after loading, and keeps its labels', async () => {
    const rows = quickRows(24);
    const { predictor } = quickPredictor({
      path: folder,
      evalMetric: 'log_loss',
      hyperparameters: { 'optim.max_epochs': 1 },
    });
    await predictor.fit(rows, { tuningData: rows });
    const first = predictor.fitSummary();
    const firstAdapter = adapterOf(folder);
    await predictor.fit(rows, { tuningData: rows, hyperparameters: { 'optim.lr': 5e-3 } });
    expect(predictor.fitSummary().steps).toBe(first.steps);
    expect(adapterOf(folder).equals(firstAdapter)).toBe(false);
    predictor.dispose();

    const loaded = await PeftPredictor.load(folder, { engine: 'portable' });
    const before = await loaded.predictProba(rows.slice(0, 4));
    await loaded.fit(rows, { tuningData: rows });
    expect(await loaded.predictProba(rows.slice(0, 4))).not.toEqual(before);
    expect(readdirSync(folder).sort()).toEqual([
      'adapter',
      'events.jsonl',
      'model',
      'predictor.json',
      'run.json',
    ]);
    await expect(loaded.fit([{ topic: 'new', text: 'a b c' }, ...rows])).rejects.toMatchObject({
      code: 'PEFT_LABEL_UNKNOWN',
    });
    await expect(
      loaded.fit(rows, { hyperparameters: { 'optim.peft': 'lora' } }),
    ).rejects.toMatchObject({
      code: 'PEFT_FIT_CHANGED',
      message: expect.stringContaining('optim.peft ("ia3_bias" so far, "lora" now)') as string,
    });
    loaded.dispose();
  });
});

describe('other problems', () => {
  it("classes of three: accuracy, and a positive class of one's own", async () => {
    const { predictor } = quickPredictor({
      hyperparameters: { 'data.pos_label': 'health', 'optim.max_epochs': 1 },
    });
    await predictor.fit(tableFromRows(quickRows(30, 3)), { seed: 3, sample: 24 });
    expect(predictor.evalMetricName).toBe('accuracy');
    expect(predictor.problemType).toBe('multiclass');
    expect(predictor.classLabels).toEqual(['health', 'sports', 'travel']);
    expect(predictor.positiveClass).toBe('health');
    expect(predictor.fitSummary().trainingRows + predictor.fitSummary().validationRows).toBe(24);
    const [row] = await predictor.predictProba(quickRows(1));
    expect(row!.length).toBe(3);
    predictor.dispose();
  });

  it("numbers: root mean squared error, in the labels' own unit", async () => {
    const path = join(folder, 'numbers');
    const rows = quickRows(30).map(({ topic, text }, i) => ({
      topic: (topic === 'sports' ? 1000 : 2000) + i,
      text,
    }));
    const { predictor } = quickPredictor({
      path,
      hyperparameters: { 'optim.max_epochs': 4, 'optim.val_check_interval': 1 },
    });
    await predictor.fit(rows, { tuningData: rows });
    expect(predictor.problemType).toBe('regression');
    expect(predictor.evalMetricName).toBe('root_mean_squared_error');
    expect(predictor.classLabels).toBeUndefined();
    const scores = await predictor.evaluate(rows, { metrics: ['rmse', 'spearman'] });
    expect(scores['rmse']).toBeLessThan(500); // the labels' own deviation is 500
    expect(scores['rmse']).toBe(predictor.fitSummary().validationScore);
    await expect(predictor.predictProba(rows)).rejects.toMatchObject({ code: 'PEFT_PROBLEM_TYPE' });
    const predictions = await predictor.predict(rows.slice(0, 3));
    predictor.dispose();
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predict(rows.slice(0, 3))).toEqual(predictions);
    loaded.dispose();
  });

  it('labels that are numbers come back as numbers, also from a file', async () => {
    const rows = quickRows(20).map(({ topic, text }) => ({
      topic: topic === 'sports' ? 1 : 0,
      text,
    }));
    const { predictor } = quickPredictor({ hyperparameters: { 'optim.max_epochs': 1 } });
    await predictor.fit(rows);
    expect(predictor.classLabels).toEqual([0, 1]);
    for (const label of await predictor.predict(rows)) expect([0, 1]).toContain(label);
    predictor.dispose();
  });
});

describe('methods', () => {
  it('null trains every parameter, and the saved predictor has them all', async () => {
    const path = join(folder, 'full');
    const { predictor } = quickPredictor({
      path,
      hyperparameters: { 'optim.peft': null, 'optim.lr': 1e-4, 'optim.max_steps': 2 },
    });
    await predictor.fit(quickRows(20));
    expect(predictor.trainableParameters).toBe(predictor.totalParameters);
    const rows = quickRows(3);
    const probabilities = await predictor.predictProba(rows);
    predictor.dispose();
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predictProba(rows)).toEqual(probabilities);
    loaded.dispose();
  });

  it('any method can be given as a value', async () => {
    const path = join(folder, 'lora');
    const { predictor, events } = quickPredictor({
      path,
      hyperparameters: { 'optim.max_steps': 2 },
    });
    await predictor.fit(quickRows(20), {
      method: lora({ rank: 2, targets: ['query_proj', 'dense'] }),
    });
    expect(events.find(({ type }) => type === 'run/started')).toMatchObject({ method: 'lora' });
    const probabilities = await predictor.predictProba(quickRows(2));
    predictor.dispose();
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predictProba(quickRows(2))).toEqual(probabilities);
    loaded.dispose();
  });
});

describe("a metric of one's own", () => {
  it('is watched while training', async () => {
    const confidence: Metric = {
      name: 'mean_first',
      greaterIsBetter: true,
      optimum: 1,
      needs: 'probabilities',
      compute: ({ predictions }) => predictions[0]!,
    };
    const { predictor, events } = quickPredictor({
      evalMetric: confidence,
      hyperparameters: { 'optim.max_steps': 1 },
    });
    await predictor.fit(quickRows(20));
    expect(events.find(({ type }) => type === 'evaluation/completed')).toMatchObject({
      metrics: { mean_first: expect.any(Number) as number },
    });
    expect(predictor.evalMetricName).toBe('mean_first');
    predictor.dispose();
  });
});

describe('files', () => {
  it(
    'without a header have the columns that they were given, later ones too, unless they ' +
      'have a header of their own',
    async () => {
      const rows = quickRows(20);
      const write = (name: string, lines: readonly string[]): string => {
        writeFileSync(join(folder, name), `${lines.join('\n')}\n`);
        return join(folder, name);
      };
      const plain = write(
        'train.tsv',
        rows.map(({ topic, text }) => `${topic}\t${text}`),
      );
      const turned = write('turned.tsv', [
        'text\ttopic',
        ...rows.map(({ topic, text }) => `${text}\t${topic}`),
      ]);
      const bare = write(
        'bare.tsv',
        rows.map(({ text }) => text),
      );
      const path = join(folder, 'saved');
      const { predictor } = quickPredictor({ path, hyperparameters: { 'optim.max_steps': 1 } });
      await predictor.fit(plain, { columns: ['topic', 'text'] });
      const wanted = await predictor.predictProba(rows);
      predictor.dispose();
      const loaded = await PeftPredictor.load(path, { engine: 'portable' });
      expect(await loaded.predictProba(plain)).toEqual(wanted);
      expect(await loaded.predictProba(turned)).toEqual(wanted);
      expect(await loaded.predictProba(bare, { columns: ['text'] })).toEqual(wanted);
      expect(await loaded.evaluate(plain)).toEqual(await loaded.evaluate(turned));
      loaded.dispose();
    },
  );
});

describe("parts of one's own", () => {
  it("stand in for the toolkit's: a clock, and an engine that falls back with one warning", async () => {
    const noAddon = () =>
      Promise.reject(new PeftError('PEFT_NATIVE_UNAVAILABLE', 'native: the addon is not built.'));
    const modules: Module[] = [
      (bind) => bind(CLOCK, () => ({ now: () => 42 })),
      (bind) =>
        bind(
          ENGINE_CHOOSER,
          () => (request) =>
            chooseEngine(request, { native: noAddon, portable: () => createPortableEngine() }),
        ),
    ];
    const { predictor, events } = quickPredictor({
      modules,
      hyperparameters: { 'env.engine': 'auto', 'optim.max_steps': 1 },
    });
    await predictor.fit(quickRows(20));
    predictor.dispose();
    expect(new Set(events.map(({ atMs }) => atMs))).toEqual(new Set([42]));
    expect(events.filter(({ type }) => type === 'run/warned')).toMatchObject([
      { code: 'PEFT_ENGINE_FALLBACK' },
    ]);
  });
});

describe('one call at a time', () => {
  it('refuses a second fit while one runs, and anything after dispose', async () => {
    const { predictor } = quickPredictor({ hyperparameters: { 'optim.max_steps': 1 } });
    const running = predictor.fit(quickRows(20));
    await expect(predictor.fit(quickRows(20))).rejects.toMatchObject({
      code: 'PEFT_PREDICTOR_BUSY',
    });
    await running;
    predictor.dispose();
    predictor.dispose();
    await expect(predictor.predict(quickRows(1))).rejects.toMatchObject({
      code: 'PEFT_PREDICTOR_DISPOSED',
    });
    expect(() =>
      new PeftPredictor({ label: 'topic', hyperparameters: QUICK }).fitSummary(),
    ).toThrow(expect.objectContaining({ code: 'PEFT_PREDICTOR_NOT_FITTED' }));
  });
});
