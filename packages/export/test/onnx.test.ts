import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import * as tf from '@tensorflow/tfjs';
import { ModelProtoSchema, type TensorProto } from 'onnx-buf';
import { loadTrainedModel, type TrainedModel } from '@peft/predictor';
import { toBeAllclose, useTemporaryFolder } from '@peft/testing';
import { describe, expect, test } from 'vitest';
import { exportModel } from '../src/index.js';
import { fixtureAdapter, fixtureModel } from './fixtures.js';
import { openOnnxRuntime, openTransformers, runTexts, type PaddedBatch } from './onnx-runtime.js';

expect.extend({ toBeAllclose });
const engine = 'portable';
const to = 'onnx';
let folder = '';
useTemporaryFolder((made) => (folder = made));

const ort = openOnnxRuntime();
const transformers = await openTransformers();

/** Ids of three texts, none of which is the padding. */
function textsOf({ model: { config, description } }: TrainedModel): number[][] {
  const { paddingId = 0 } = config as { readonly paddingId?: number };
  return [5, 9, 2].map((length, b) =>
    Array.from({ length }, (_, t) => {
      const id = 5 + ((t * 37 + b * 11) % (description.vocabularySize - 6));
      return id === paddingId ? id + 1 : id;
    }),
  );
}

/** What the model itself makes of each text. */
const oursOf = ({ model }: TrainedModel, texts: readonly (readonly number[])[]): Float32Array[] =>
  texts.map((text) =>
    tf.tidy(() => {
      const inputIds = Int32Array.from(text);
      const { logits, hidden } = model.forward({
        inputIds,
        offsets: Int32Array.of(0, text.length),
      });
      return Float32Array.from((logits ?? hidden).dataSync());
    }),
  );

const initializerOf = (path: string, name: string): TensorProto => {
  const { graph } = fromBinary(ModelProtoSchema, readFileSync(path));
  return graph!.initializer.find((tensor) => tensor.name === name)!;
};

describe('an ONNX folder', () => {
  test('holds the merged weights, the tokenizer and a config for transformers.js', async () => {
    const adapter = fixtureAdapter('lora_bert_qv');
    const output = join(folder, 'merged');
    const before = tf.memory().numTensors;
    const { files, type } = await exportModel(fixtureModel('bert'), {
      to,
      output,
      adapter,
      engine,
    });
    expect(tf.memory().numTensors).toBe(before);
    expect(type).toBe('fp32');
    expect(files.map(({ name }) => name)).toEqual([
      'config.json',
      'onnx/model.onnx',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    const config = JSON.parse(readFileSync(join(output, 'config.json'), 'utf8')) as object;
    expect(config).toMatchObject({
      architectures: ['BertForSequenceClassification'],
      'transformers.js_config': { dtype: 'fp32', use_external_data_format: { 'model.onnx': 0 } },
    });
    const name = 'bert.encoder.layer.0.attention.self.query.weight';
    const source = await loadTrainedModel(fixtureModel('bert'), { adapter, engine });
    const merged = source.model.readFoldedParameter(name);
    const { rawData, dims } = initializerOf(join(output, 'onnx/model.onnx'), name);
    expect(dims).toEqual([48n, 48n]);
    expect(new Float32Array(Uint8Array.from(rawData).buffer)).toEqual(merged.dataSync());
    merged.dispose();
    source.dispose();
  });

  test('has the inputs and outputs of a decoder with a cache', async () => {
    const output = join(folder, 'ports');
    await exportModel(fixtureModel('llama'), { to, output, engine });
    const { graph, opsetImport } = fromBinary(
      ModelProtoSchema,
      readFileSync(join(output, 'onnx/model.onnx')),
    );
    expect(opsetImport.map(({ domain, version }) => [domain, version])).toEqual([
      ['', 17n],
      ['com.microsoft', 1n],
    ]);
    const ports = (kind: string) =>
      [0, 1].flatMap((layer) => [`${kind}.${layer}.key`, `${kind}.${layer}.value`]);
    expect(graph!.input.map(({ name }) => name).toSorted()).toEqual(
      ['attention_mask', 'input_ids', 'num_logits_to_keep', ...ports('past_key_values')].toSorted(),
    );
    expect(graph!.output.map(({ name }) => name).toSorted()).toEqual(
      ['logits', ...ports('present')].toSorted(),
    );
  });

  test.each([
    ['t5', 'for the head of this model (seq2seq-lm)'],
    ['mixtral', 'cannot record Mixtral'],
    ['gpt_oss', 'cannot record gpt-oss'],
    ['convbert', 'cannot record ConvBERT'],
  ])('of %s is refused by name before anything is written', async (name, what) => {
    const output = join(folder, 'refused', name);
    const before = tf.memory().numTensors;
    await expect(exportModel(fixtureModel(name), { to, output, engine })).rejects.toMatchObject({
      code: 'PEFT_EXPORT_UNSUPPORTED',
      message: expect.stringContaining(what) as string,
    });
    expect(tf.memory().numTensors).toBe(before);
    expect(existsSync(join(folder, 'refused'))).toBe(false);
  });

  test('that is stopped leaves nothing', async () => {
    const parent = join(folder, 'stopped');
    const stop = new AbortController();
    await expect(
      exportModel(fixtureModel('llama'), {
        to,
        output: join(parent, 'out'),
        engine,
        signal: stop.signal,
        onProgress: ({ doneBytes, totalBytes }) => {
          if (doneBytes > totalBytes / 2) stop.abort(new Error('enough'));
        },
      }),
    ).rejects.toThrow('enough');
    expect(readdirSync(parent)).toEqual([]);
  });
});

const ENCODERS = [
  'bert',
  'electra',
  'albert',
  'camembert',
  'xlm-roberta',
  'xlm-roberta-xl',
  'deberta-v2',
] as const;
const DECODERS = ['llama', 'mistral', 'qwen2', 'qwen3', 'gpt2', 'bloom', 'gpt_neox'] as const;

describe.skipIf(!ort)('onnxruntime-node (skipped where npm has not brought it)', () => {
  const opened = async (path: string) =>
    ort!.InferenceSession.create(join(path, 'onnx/model.onnx'), {
      logSeverityLevel: 3,
      intraOpNumThreads: 1,
    });

  test.each(ENCODERS)('has the results of %s, whatever is beside a text', async (name) => {
    const output = join(folder, name);
    await exportModel(fixtureModel(name), { to, output, engine });
    const source = await loadTrainedModel(fixtureModel(name), { engine });
    const session = await opened(output);
    try {
      const texts = textsOf(source);
      const { paddingId = 0 } = source.model.config as { readonly paddingId?: number };
      const { rows } = await runTexts(ort!, session, { texts, side: 'right', paddingId });
      oursOf(source, texts).forEach((row, b) => expect(rows[b]).toBeAllclose(row, { atol: 1e-5 }));
    } finally {
      await session.release();
      source.dispose();
    }
  });

  test.each(DECODERS)('goes on from the cache of %s as it would from the text', async (name) => {
    const output = join(folder, name);
    await exportModel(fixtureModel(name), { to, output, engine });
    const source = await loadTrainedModel(fixtureModel(name), { engine });
    const session = await opened(output);
    try {
      const texts = textsOf(source);
      const earlier: PaddedBatch = { texts, side: 'left', paddingId: 0 };
      const first = await runTexts(ort!, session, earlier);
      oursOf(source, texts).forEach((row, b) =>
        expect(first.rows[b]).toBeAllclose(row, { atol: 5e-5 }),
      );
      const added = texts.map((_, b) => [7 + b, 20 + b]);
      const next = await runTexts(
        ort!,
        session,
        { texts: added, side: 'left', paddingId: 0 },
        { outputs: first.outputs, earlier },
      );
      const longer = texts.map((text, b) => [...text, ...added[b]!]);
      oursOf(source, longer).forEach((row, b) =>
        expect(next.rows[b]).toBeAllclose(row.slice(-next.rows[b]!.length), { atol: 5e-5 }),
      );
    } finally {
      await session.release();
      source.dispose();
    }
  });

  test('counts positions from padding ids, and types from a second text, as the model does', async () => {
    for (const name of ['xlm-roberta', 'bert'] as const) {
      const output = join(folder, `${name}-counted`);
      await exportModel(fixtureModel(name), { to, output, engine });
      const source = await loadTrainedModel(fixtureModel(name), { engine });
      const session = await opened(output);
      const { paddingId = 0 } = source.model.config as { readonly paddingId?: number };
      const text = [6, 7, paddingId, 8, 9];
      const types = name === 'bert' ? [0, 0, 0, 1, 1] : [0, 0, 0, 0, 0];
      const expected = tf.tidy(() =>
        source.model
          .forward({
            inputIds: Int32Array.from(text),
            tokenTypeIds: Int32Array.from(types),
            offsets: Int32Array.of(0, 5),
          })
          .logits!.dataSync<'float32'>(),
      );
      const { rows } = await runTexts(ort!, session, {
        texts: [text, [6]],
        tokenTypes: [types, [0]],
        side: 'right',
        paddingId,
      });
      expect(rows[0]).toBeAllclose(expected, { atol: 1e-5 });
      await session.release();
      source.dispose();
    }
  });
});

describe.skipIf(!transformers)('transformers.js (skipped where npm has not brought it)', () => {
  const piped = (task: string, name: string) => {
    transformers!.env.allowRemoteModels = false;
    transformers!.env.localModelPath = folder;
    return transformers!.pipeline(task, name);
  };

  test('has the labels and probabilities of a classifier', async () => {
    await exportModel(fixtureModel('bert'), { to, output: join(folder, 'labels'), engine });
    const classify = await piped('text-classification', 'labels');
    const source = await loadTrainedModel(fixtureModel('bert'), { engine });
    try {
      for (const text of ['Hello world, 123', 'the cat sat on the mat']) {
        const [logits] = oursOf(source, [source.base.tokenizer.encode(text).ids]);
        const shares = tf.tidy(() => tf.softmax(tf.tensor1d(logits!)).dataSync());
        const best = shares.indexOf(Math.max(...shares));
        const [found] = await classify(text);
        expect(found).toMatchObject({ label: `LABEL_${best}` });
        expect(found!['score']).toBeCloseTo(shares[best]!, 5);
      }
    } finally {
      source.dispose();
    }
  });
});
