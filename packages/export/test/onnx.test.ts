import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import * as tf from '@tensorflow/tfjs';
import { ModelProtoSchema, type TensorProto } from 'onnx-buf';
import { loadTrainedModel } from '@peft/predictor';
import { useTemporaryFolder } from '@peft/testing';
import { describe, expect, test } from 'vitest';
import { exportModel } from '../src/index.js';
import { fixtureAdapter, fixtureModel } from './fixtures.js';
import { checkpoint } from './onnx-checkpoints.js';

const engine = 'portable';
const to = 'onnx';
let folder = '';
useTemporaryFolder((made) => (folder = made));

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
    ['convbert', 'cannot record ConvBERT'],
    ['deberta-v2-convolution', 'cannot record DeBERTa-v2'],
    ['bart', 'cannot record BART', 'ForSequenceClassification'],
  ])('of %s is refused by name before anything is written', async (name, what, className?) => {
    const output = join(folder, 'refused', name);
    const before = tf.memory().numTensors;
    await expect(
      exportModel(checkpoint(folder, name, className), { to, output, engine }),
    ).rejects.toMatchObject({
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
