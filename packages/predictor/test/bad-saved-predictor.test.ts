import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PeftPredictor, uncheckedMetric } from '../src/index.js';
import { quickPredictor, quickRows } from './quick.js';
import { useRefusals } from './refusals.js';

const at = useRefusals();
const { file } = at;

describe('a saved predictor is read as hostile input', () => {
  let saved: string;
  let predictor: PeftPredictor;
  beforeAll(async () => {
    saved = join(at.folder, 'saved');
    ({ predictor } = quickPredictor({ path: saved, hyperparameters: { 'optim.max_steps': 1 } }));
    await predictor.fit(quickRows(20));
  });
  afterAll(() => predictor.dispose());

  /** Loads a changed copy and returns the error. */
  async function loadError(
    change: (copy: string) => void,
  ): Promise<{ code: string; message: string }> {
    cpSync(saved, at.path, { recursive: true });
    change(at.path);
    const before = tf.memory().numTensors;
    const error: unknown = await PeftPredictor.load(at.path, { engine: 'portable' }).then(
      (loaded) => loaded.dispose(),
      (reason: unknown) => reason,
    );
    expect(tf.memory().numTensors).toBe(before);
    rmSync(at.path, { recursive: true });
    return error as { code: string; message: string };
  }
  const edit = (change: (record: Record<string, never>) => unknown) => (copy: string) => {
    const where = join(copy, 'predictor.json');
    const record = JSON.parse(readFileSync(where, 'utf8')) as Record<string, never>;
    writeFileSync(where, JSON.stringify(change(record) ?? record));
  };

  it('no predictor there', async () => {
    await expect(PeftPredictor.load(join(at.folder, 'nothing'))).rejects.toMatchObject({
      code: 'PEFT_PREDICTOR_MISSING',
    });
    expect(await loadError((copy) => rmSync(join(copy, 'predictor.json')))).toMatchObject({
      code: 'PEFT_PREDICTOR_MISSING',
    });
  });

  it('a field that is missing or of the wrong kind, by its name', async () => {
    expect(
      await loadError((copy) => writeFileSync(join(copy, 'predictor.json'), '{"format"')),
    ).toMatchObject({ code: 'PEFT_JSON_INVALID' });
    expect(await loadError(edit((record) => ({ ...record, version: 99 })))).toMatchObject({
      code: 'PEFT_PREDICTOR_VERSION',
    });
    const cases: readonly [string, (record: Record<string, object>) => unknown][] = [
      ['format', (record) => ({ ...record, format: 'pickle' })],
      ['task.label', (record) => ({ ...record, task: { ...record['task'], label: 3 } })],
      ['task.texts', (record) => ({ ...record, task: { ...record['task'], texts: [] } })],
      [
        'task.problem.classes',
        (record) => ({
          ...record,
          task: { ...record['task'], problem: { type: 'binary', classes: ['a'] } },
        }),
      ],
      [
        'task.problem.classes',
        (record) => ({
          ...record,
          task: { ...record['task'], problem: { type: 'multiclass', classes: ['a', 'a', 'b'] } },
        }),
      ],
      [
        'task.problem.type',
        (record) => ({ ...record, task: { ...record['task'], problem: { type: 'ranking' } } }),
      ],
      [
        'task.problem.deviation',
        (record) => ({
          ...record,
          task: {
            ...record['task'],
            name: 'regression',
            problem: { type: 'regression', mean: 0, deviation: 0 },
          },
        }),
      ],
      ['task.name', (record) => ({ ...record, task: { ...record['task'], name: 'summary' } })],
      [
        'task.name',
        (record) => ({
          ...record,
          task: { ...record['task'], problem: { type: 'regression', mean: 0, deviation: 1 } },
        }),
      ],
      [
        'task.columns',
        (record) => ({ ...record, task: { name: 'seq2seq', columns: { source: 'a' } } }),
      ],
      [
        'task.columns.target',
        (record) => ({ ...record, task: { name: 'seq2seq', columns: { source: 'a', target: 7 } } }),
      ],
      [
        'task.tags',
        (record) => ({
          ...record,
          task: {
            name: 'token-classification',
            columns: { tokens: 'a', tags: 'b' },
            tags: ['O', 'O'],
          },
        }),
      ],
      [
        'base.fingerprint',
        (record) => ({ ...record, base: { ...record['base'], fingerprint: '../../etc' } }),
      ],
      [
        'summary.averagedSteps',
        (record) => ({ ...record, summary: { ...record['summary'], averagedSteps: [-1] } }),
      ],
    ];
    for (const [field, change] of cases)
      expect(await loadError(edit(change as never)), field).toMatchObject({
        code: 'PEFT_PREDICTOR_INVALID',
        message: expect.stringContaining(`${field} must be`) as string,
      });
    expect(
      await loadError(edit((record) => ({ ...record, settings: { 'optim.unknown': 1 } }))),
    ).toMatchObject({ code: 'PEFT_HYPERPARAMETER_UNKNOWN' });
  });

  it('an adapter of another predictor, or a damaged one', async () => {
    const other = join(at.folder, 'other');
    const { predictor: second } = quickPredictor({
      path: other,
      hyperparameters: { 'optim.max_steps': 1 },
    });
    await second.fit(quickRows(30, 3));
    second.dispose();
    const exchange = (copy: string) => {
      rmSync(join(copy, 'adapter'), { recursive: true });
      cpSync(join(other, 'adapter'), join(copy, 'adapter'), { recursive: true });
    };
    expect(await loadError(exchange)).toMatchObject({ code: 'PEFT_ADAPTER_MISMATCH' });
    const adapterHash = (
      JSON.parse(readFileSync(join(other, 'predictor.json'), 'utf8')) as { adapterHash: string }
    ).adapterHash;
    expect(
      await loadError((copy) => {
        exchange(copy);
        edit((record) => ({ ...record, adapterHash }))(copy);
      }),
    ).toMatchObject({
      code: 'PEFT_ADAPTER_MISMATCH',
      message: expect.stringContaining('head') as string,
    });
    expect(
      await loadError((copy) => rmSync(join(copy, 'adapter/adapter_model.safetensors'))),
    ).toMatchObject({ code: 'PEFT_ADAPTER_MISSING' });
  });

  it('another base model', async () => {
    const change = (copy: string) => {
      const where = join(copy, 'model/model.safetensors');
      const bytes = readFileSync(where);
      bytes[8 + Number(bytes.readBigUInt64LE(0))]! ^= 1;
      writeFileSync(where, bytes);
    };
    expect(await loadError(change)).toMatchObject({
      code: 'PEFT_ADAPTER_MISMATCH',
      message: expect.stringContaining('baseModel') as string,
    });
  });

  it('a tokenizer that is missing', async () => {
    expect(await loadError((copy) => rmSync(join(copy, 'model/tokenizer.json')))).toMatchObject({
      code: 'PEFT_TOKENIZER_MISSING',
    });
  });

  it('an unknown label, a missing column, an unknown metric at evaluation', async () => {
    await expect(predictor.evaluate([{ topic: 'cooking', text: 'a b c' }])).rejects.toMatchObject({
      code: 'PEFT_LABEL_UNKNOWN',
      message: expect.stringContaining('Known labels: "health", "sports"') as string,
    });
    await expect(
      predictor.evaluate([{ topic: 'sports', body: 'a b c' }], { metrics: 'accuracy' }),
    ).rejects.toMatchObject({ code: 'PEFT_COLUMN_MISSING' });
    await expect(predictor.evaluate([{ text: 'a b c' }])).rejects.toMatchObject({
      code: 'PEFT_COLUMN_MISSING',
    });
    await expect(
      predictor.evaluate(quickRows(4), { metrics: uncheckedMetric('acuracy') }),
    ).rejects.toMatchObject({
      code: 'PEFT_METRIC_UNKNOWN',
    });
    await expect(predictor.evaluate(quickRows(4, 1))).rejects.toMatchObject({
      code: 'PEFT_METRIC_UNDEFINED',
    });
    await expect(predictor.predict(join(at.folder, 'none.csv'))).rejects.toMatchObject({
      code: 'PEFT_FILE_MISSING',
    });
  });

  it('a folder to save into that is not empty', async () => {
    await expect(predictor.save(saved)).rejects.toMatchObject({ code: 'PEFT_FOLDER_NOT_EMPTY' });
    const target = join(at.folder, 'unsaved');
    await expect(predictor.save(join(file('plain', ''), 'unsaved'))).rejects.toMatchObject({
      code: 'PEFT_PREDICTOR_WRITE',
    });
    expect(existsSync(target)).toBe(false);
  });
});
