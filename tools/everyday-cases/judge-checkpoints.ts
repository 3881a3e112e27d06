/** Judges cases of checkpoints, adapters and saved predictors. */
import { basename, join } from 'node:path';
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { architectureFor, loadAdapter, loadModel, type Model } from '@peft/core';
import { readTable } from '@peft/data';
import { PeftError } from '@peft/errors';
import { openCheckpoint } from '@peft/hub';
import { allMethods } from '@peft/methods';
import { architectures } from '@peft/models';
import { PeftPredictor } from '@peft/predictor';
import { openEngine } from '../golden/engines.js';
import {
  filesOf,
  modelsIn,
  must,
  withScratch,
  type CaseFolder,
  type Judge,
} from './everyday-case.js';
import { fitCase } from './fit-case.js';

/** Of logits of the tiny models in float32. */
const TOLERANCE = 2e-5;

interface Expected {
  readonly ids: Int32Array;
  readonly logits: Float32Array;
}

/** @param path a safetensors file with `ids` (int64) and `logits` (float32). */
function expectedOf(path: string): Expected {
  const bytes = readFileSync(path);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >;
  const dataOf = (name: string): Buffer => {
    const [start, end] = header[name]!.data_offsets;
    return Buffer.from(bytes.subarray(8 + headerLength + start, 8 + headerLength + end));
  };
  const raw = dataOf('ids');
  const isLong = header['ids']!.dtype === 'I64';
  const ids = Int32Array.from({ length: raw.length / (isLong ? 8 : 4) }, (_, i) =>
    isLong ? Number(raw.readBigInt64LE(8 * i)) : raw.readInt32LE(4 * i),
  );
  const values = dataOf('logits');
  const logits = Float32Array.from({ length: values.length / 4 }, (_, i) =>
    values.readFloatLE(4 * i),
  );
  return { ids, logits };
}

/** The largest difference of the model's logits from the expected ones. */
function deviation(model: Model, { ids, logits }: Expected): number {
  return tf.tidy(() => {
    const made = model
      .forward({ inputIds: ids, offsets: Int32Array.of(0, ids.length) })
      .logits!.dataSync<'float32'>();
    must(made.length === logits.length, `${made.length} logits, not ${logits.length}`);
    return logits.reduce((most, value, i) => Math.max(most, Math.abs(value - made[i]!)), 0);
  });
}

async function withLanguageModel<T>(folder: string, use: (model: Model) => Promise<T>): Promise<T> {
  const engine = await openEngine('portable');
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as {
    model_type: string;
  };
  const store = openCheckpoint(folder);
  try {
    const architecture = architectureFor(config.model_type, architectures);
    const model = loadModel(architecture, config, store, engine, { head: { kind: 'causal-lm' } });
    try {
      return await use(model);
    } finally {
      model.dispose();
    }
  } finally {
    store.close();
    engine.dispose();
  }
}

const expectedIn = (folder: string): Expected =>
  expectedOf(filesOf(folder, 'expected.safetensors', 'expected.st')[0]!);

/** The fixture that an adapter's configuration names. */
function baseOf({ folder, models }: CaseFolder): string {
  const { base_model_name_or_path: base } = JSON.parse(
    readFileSync(join(folder, 'adapter_config.json'), 'utf8'),
  ) as { base_model_name_or_path: string };
  return join(models, basename(base));
}

export const adapterLoads: Judge = (given) =>
  withLanguageModel(baseOf(given), async (model) => {
    await loadAdapter(model, given.folder, { methods: allMethods });
    const most = deviation(model, expectedIn(given.folder));
    must(most < TOLERANCE, `logits differ by ${most}`);
    return `loads, logits within ${most.toExponential(1)}`;
  });

export const adapterMerges: Judge = (given) =>
  withLanguageModel(baseOf(given), async (model) => {
    await loadAdapter(model, given.folder, { methods: allMethods });
    const expected = expectedIn(given.folder);
    must(deviation(model, expected) < TOLERANCE, 'the active adapter has other logits');
    try {
      model.mergeAdapters();
    } catch (error) {
      if (error instanceof PeftError) return `refused by name: ${error.code}`;
      throw error;
    }
    const most = deviation(model, expected);
    must(most < 100 * TOLERANCE, `merged logits differ by ${most}`);
    return `merges, logits within ${most.toExponential(1)}`;
  });

export const checkpointLoads: Judge = ({ folder }) =>
  withLanguageModel(folder, (model) => {
    const most = deviation(model, expectedIn(folder));
    must(most < TOLERANCE, `logits differ by ${most}`);
    return Promise.resolve(`loads, logits within ${most.toExponential(1)}`);
  });

/** The label column: the first of few values. */
async function labelOf(path: string): Promise<string> {
  const table = await readTable(path, { wanted: ['label'] });
  if (table.has('label')) return 'label';
  return table.columns.find((name) => new Set(table.values(name)).size <= 5)!;
}

export const savedPredictor: Judge = async ({ folder }) => {
  for (const model of modelsIn(folder))
    for (const path of filesOf(folder, '.csv', '.tsv'))
      for (const method of ['lora', 'ia3_bias'])
        await withScratch(async (scratch) => {
          const label = await labelOf(path);
          const output = join(scratch, 'out');
          const fit = await fitCase(path, { label }, { model, method, path: output });
          fit.predictor.dispose();
          const loaded = await PeftPredictor.load(output, { engine: 'portable' });
          must((await loaded.predict(path)).length > 0, `${method}: no predictions`);
          loaded.dispose();
        });
  return 'what lora and ia3_bias save loads and predicts';
};

export const grownVocabulary: Judge = async ({ folder }) => {
  for (const model of modelsIn(folder))
    for (const path of filesOf(folder, '.csv', '.tsv')) {
      const { predictor } = await fitCase(path, { label: await labelOf(path) }, { model });
      predictor.dispose();
    }
  return 'texts with added tokens train';
};
