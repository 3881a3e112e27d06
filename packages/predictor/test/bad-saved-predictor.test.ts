import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  PeftPredictor,
  type FitOptions,
  type PredictorData,
  type PredictorOptions,
} from '../src/index.js';
import { MODEL, quickPredictor, quickRows } from './quick.js';

let folder: string;
let count = 0;
/** A path that nothing stands at. */
let path: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-predictor-bad-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  path = join(folder, `case-${(count += 1)}`);
});

/** Fits and returns the error; no tensor and no file may be left. */
async function refusal(
  data: PredictorData,
  { fit = {}, ...options }: Partial<PredictorOptions> & { fit?: FitOptions } = {},
): Promise<{ code: string; message: string }> {
  const { predictor } = quickPredictor({ path, ...options });
  const before = tf.memory().numTensors;
  const around = readdirSync(folder).sort();
  const error: unknown = await predictor.fit(data, fit).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(tf.memory().numTensors).toBe(before);
  expect(readdirSync(folder).sort()).toEqual(around);
  expect(() => predictor.fitSummary()).toThrow();
  predictor.dispose();
  return error as { code: string; message: string };
}

const file = (name: string, content: string): string => {
  const where = join(folder, name);
  writeFileSync(where, content);
  return where;
};

/** A copy of the model with some files changed; null removes one. */
function changedModel(
  changes: Readonly<Record<string, ((bytes: Buffer) => Uint8Array | string) | null>>,
): string {
  const where = join(folder, `model-${(count += 1)}`);
  cpSync(MODEL, where, { recursive: true });
  for (const [name, change] of Object.entries(changes)) {
    if (change) writeFileSync(join(where, name), change(readFileSync(join(where, name))));
    else rmSync(join(where, name));
  }
  return where;
}

/** Replaces the header of a safetensors file, whose length may lie. */
function withHeader(
  bytes: Buffer,
  change: (header: Record<string, { data_offsets: [number, number] }>) => void,
  length?: bigint,
): Buffer {
  const size = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + size).toString()) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  change(header);
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length ?? BigInt(text.length));
  return Buffer.concat([prefix, text, bytes.subarray(8 + size)]);
}

describe('bad data is refused before a model is loaded', () => {
  it('a missing file, with the nearest name', async () => {
    file('train.csv', 'topic,text\na,b c d\n');
    expect(await refusal(join(folder, 'trian.csv'))).toMatchObject({
      code: 'PEFT_FILE_MISSING',
      message: expect.stringContaining('"train.csv"') as string,
    });
  });

  it('something that is no data', async () => {
    expect(await refusal(7 as never)).toMatchObject({ code: 'PEFT_DATA_INVALID' });
  });

  it('a missing label column, with the nearest name', async () => {
    expect(await refusal(quickRows(20), { label: 'topics' })).toMatchObject({
      code: 'PEFT_COLUMN_MISSING',
      message: expect.stringContaining('"topic"') as string,
    });
  });

  it('a missing text column', async () => {
    expect(await refusal(quickRows(20), { fit: { textColumns: ['txt'] } })).toMatchObject({
      code: 'PEFT_COLUMN_MISSING',
      message: expect.stringContaining('"text"') as string,
    });
    expect(
      await refusal(quickRows(20), {
        fit: {
          tuningData: [
            { topic: 'sports', body: 'x' },
            { topic: 'health', body: 'y' },
          ],
        },
      }),
    ).toMatchObject({ code: 'PEFT_COLUMN_MISSING' });
    expect(await refusal(quickRows(20).map(({ topic }, i) => ({ topic, size: i })))).toMatchObject({
      code: 'PEFT_TEXT_COLUMN_MISSING',
    });
  });

  it('one class only', async () => {
    expect(await refusal(quickRows(20, 1))).toMatchObject({ code: 'PEFT_LABEL_ONE_CLASS' });
  });

  it('an empty table', async () => {
    expect(await refusal([])).toMatchObject({ code: 'PEFT_TABLE_EMPTY' });
    expect(await refusal(file('empty.csv', ''))).toMatchObject({ code: 'PEFT_TABLE_EMPTY' });
    expect(
      await refusal(file('header.csv', 'topic,text\n'), { fit: { header: true } }),
    ).toMatchObject({ code: 'PEFT_TABLE_EMPTY' });
  });

  it('rows without a label, and validation labels that training lacks', async () => {
    expect(await refusal([...quickRows(20), { topic: null, text: 'a b c' }])).toMatchObject({
      code: 'PEFT_LABEL_MISSING_VALUES',
    });
    expect(
      await refusal(quickRows(20), {
        fit: { tuningData: [{ topic: 'cooking', text: 'a b c' }, ...quickRows(4)] },
      }),
    ).toMatchObject({
      code: 'PEFT_LABEL_UNKNOWN',
      message: expect.stringContaining('"cooking"') as string,
    });
  });

  it('a metric that does not fit, or has no value on the validation rows', async () => {
    expect(await refusal(quickRows(20), { evalMetric: 'accurracy' })).toMatchObject({
      code: 'PEFT_METRIC_UNKNOWN',
      message: expect.stringContaining('"accuracy"') as string,
    });
    expect(await refusal(quickRows(20), { evalMetric: 'rmse' })).toMatchObject({
      code: 'PEFT_METRIC_INPUT_INVALID',
    });
    expect(await refusal(quickRows(30, 3), { evalMetric: 'roc_auc' })).toMatchObject({
      code: 'PEFT_METRIC_UNDEFINED',
    });
    expect(await refusal(quickRows(20), { fit: { tuningData: quickRows(4, 1) } })).toMatchObject({
      code: 'PEFT_METRIC_UNDEFINED',
    });
  });
});

describe('bad settings are refused', () => {
  it('an unknown hyperparameter, preset, method or option, with the nearest name', async () => {
    expect(
      await refusal(quickRows(20), { fit: { hyperparameters: { 'optim.lrr': 1 } as never } }),
    ).toMatchObject({
      code: 'PEFT_HYPERPARAMETER_UNKNOWN',
      message: expect.stringContaining('"optim.lr"') as string,
    });
    expect(
      await refusal(quickRows(20), { fit: { hyperparameters: { 'optim.lr': 'fast' } as never } }),
    ).toMatchObject({ code: 'PEFT_HYPERPARAMETER_INVALID' });
    expect(
      await refusal(quickRows(20), {
        fit: { hyperparameters: { 'optim.peft': 'ia3_bais' } as never },
      }),
    ).toMatchObject({
      code: 'PEFT_METHOD_UNKNOWN',
      message: expect.stringContaining('"ia3_bias"') as string,
    });
    expect(
      await refusal(quickRows(20), { fit: { presets: 'mulitlingual' as never } }),
    ).toMatchObject({
      code: 'PEFT_PRESET_UNKNOWN',
    });
    expect(await refusal(quickRows(20), { fit: { tuneData: 1 } as never })).toMatchObject({
      code: 'PEFT_CONFIG_UNKNOWN_KEY',
      message: expect.stringContaining('"tuningData"') as string,
    });
    expect(
      await refusal(quickRows(20), { fit: { hyperparameters: { 'data.pos_label': 'politics' } } }),
    ).toMatchObject({ code: 'PEFT_LABEL_UNKNOWN' });
    expect(() => new PeftPredictor({ label: 'x', evalmetric: 'f1' } as never)).toThrow(
      expect.objectContaining({ code: 'PEFT_CONFIG_UNKNOWN_KEY' }),
    );
  });

  it('a folder that is not empty, and leaves it as it was', async () => {
    cpSync(MODEL, path, { recursive: true });
    const held = readdirSync(path).sort();
    expect(await refusal(quickRows(20))).toMatchObject({ code: 'PEFT_FOLDER_NOT_EMPTY' });
    expect(await refusal(quickRows(20), { fit: { resume: true } })).toMatchObject({
      code: 'PEFT_FOLDER_NOT_EMPTY',
      message: expect.stringContaining('what no predictor wrote') as string,
    });
    expect(readdirSync(path).sort()).toEqual(held);
  });
});

describe('a bad base model is refused', () => {
  const withModel = (model: string) =>
    refusal(quickRows(20), {
      fit: { hyperparameters: { 'model.hf_text.checkpoint_name': model } },
    });

  it('no such folder, no config, an unknown family', async () => {
    expect(await withModel(join(folder, 'none'))).toMatchObject({ code: 'PEFT_MODEL_FOLDER' });
    expect(await withModel(changedModel({ 'config.json': null }))).toMatchObject({
      code: 'PEFT_CONFIG_MISSING',
    });
    expect(
      await withModel(changedModel({ 'config.json': () => '{"model_type":"debertav2"}' })),
    ).toMatchObject({
      code: 'PEFT_MODEL_TYPE',
      message: expect.stringContaining('"deberta-v2"') as string,
    });
  });

  it('no tokenizer, or half of one', async () => {
    expect(await withModel(changedModel({ 'tokenizer.json': null }))).toMatchObject({
      code: 'PEFT_TOKENIZER_MISSING',
    });
    expect(
      await withModel(changedModel({ 'tokenizer.json': (bytes) => bytes.subarray(0, 1000) })),
    ).toMatchObject({ code: 'PEFT_TOKENIZER_INVALID' });
  });

  it('no weights, or cut-off ones', async () => {
    expect(await withModel(changedModel({ 'model.safetensors': null }))).toMatchObject({
      code: 'PEFT_CHECKPOINT_MISSING',
    });
    for (const size of [0, 4, 100, 1_000_000]) {
      const { code } = await withModel(
        changedModel({ 'model.safetensors': (bytes) => bytes.subarray(0, size) }),
      );
      expect(code, `${size} bytes`).toMatch(/^PEFT_SAFETENSORS_/);
    }
  });

  it('a header that lies: overlaps, offsets past the end, a length beyond all measure', async () => {
    const lying = (change: Parameters<typeof withHeader>[1], length?: bigint) =>
      withModel(
        changedModel({ 'model.safetensors': (bytes) => withHeader(bytes, change, length) }),
      );
    const tensors = (header: Record<string, { data_offsets: [number, number] }>) =>
      Object.entries(header)
        .filter(([name]) => name !== '__metadata__')
        .map(([, tensor]) => tensor);
    const cases = [
      await lying((header) => {
        tensors(header)[1]!.data_offsets = [
          0,
          tensors(header)[1]!.data_offsets[1] - tensors(header)[1]!.data_offsets[0],
        ];
      }),
      await lying((header) => {
        const last = tensors(header).at(-1)!;
        last.data_offsets = [last.data_offsets[0] + 2 ** 40, last.data_offsets[1] + 2 ** 40];
      }),
      await lying(() => undefined, 2n ** 62n),
    ];
    for (const { code } of cases) expect(code).toMatch(/^PEFT_SAFETENSORS_/);
  });

  it('weights of another size than its config says', async () => {
    const wider = changedModel({
      'config.json': (bytes) =>
        bytes.toString().replace('"intermediate_size": 1024', '"intermediate_size": 512'),
    });
    expect(await withModel(wider)).toMatchObject({ code: 'PEFT_WEIGHT_SHAPE' });
  });
});

describe('a saved predictor is read as hostile input', () => {
  let saved: string;
  let predictor: PeftPredictor;
  beforeAll(async () => {
    saved = join(folder, 'saved');
    ({ predictor } = quickPredictor({ path: saved, hyperparameters: { 'optim.max_steps': 1 } }));
    await predictor.fit(quickRows(20));
  });
  afterAll(() => predictor.dispose());

  /** Loads a changed copy and returns the error. */
  async function loadError(
    change: (copy: string) => void,
  ): Promise<{ code: string; message: string }> {
    cpSync(saved, path, { recursive: true });
    change(path);
    const before = tf.memory().numTensors;
    const error: unknown = await PeftPredictor.load(path, { engine: 'portable' }).then(
      (loaded) => loaded.dispose(),
      (reason: unknown) => reason,
    );
    expect(tf.memory().numTensors).toBe(before);
    rmSync(path, { recursive: true });
    return error as { code: string; message: string };
  }
  const edit = (change: (record: Record<string, never>) => unknown) => (copy: string) => {
    const where = join(copy, 'predictor.json');
    const record = JSON.parse(readFileSync(where, 'utf8')) as Record<string, never>;
    writeFileSync(where, JSON.stringify(change(record) ?? record));
  };

  it('no predictor there', async () => {
    await expect(PeftPredictor.load(join(folder, 'nothing'))).rejects.toMatchObject({
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
      ['task.name', (record) => ({ ...record, task: { ...record['task'], name: 'ranking' } })],
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
    const other = join(folder, 'other');
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
    await expect(predictor.evaluate(quickRows(4), { metrics: 'acuracy' })).rejects.toMatchObject({
      code: 'PEFT_METRIC_UNKNOWN',
    });
    await expect(predictor.evaluate(quickRows(4, 1))).rejects.toMatchObject({
      code: 'PEFT_METRIC_UNDEFINED',
    });
    await expect(predictor.predict(join(folder, 'none.csv'))).rejects.toMatchObject({
      code: 'PEFT_FILE_MISSING',
    });
  });

  it('a folder to save into that is not empty', async () => {
    await expect(predictor.save(saved)).rejects.toMatchObject({ code: 'PEFT_FOLDER_NOT_EMPTY' });
    const target = join(folder, 'unsaved');
    await expect(predictor.save(join(file('plain', ''), 'unsaved'))).rejects.toMatchObject({
      code: 'PEFT_PREDICTOR_WRITE',
    });
    expect(existsSync(target)).toBe(false);
  });
});
