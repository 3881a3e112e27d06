/** Shadow: its own network's share of the loss, a cache of its own, and what is refused by name. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  attachAdapter,
  describeModel,
  KeyValueCache,
  loadAdapter,
  saveAdapter,
  type Model,
  type ModelBatch,
} from '@peft/core';
import { gpt2, llama, mixtral } from '@peft/models';
import type { Engine } from '@peft/ops';
import {
  moveParameters,
  tinyModels,
  useModel,
  usePortableEngine,
  useTemporaryFolder,
} from '@peft/testing';
import { beforeEach, describe, expect, it, test } from 'vitest';
import { shadow } from './shadow.js';

const decoder = tinyModels().find(({ name }) => name === 'decoder')!;

describe('a shadow', () => {
  let engine: Engine;
  let model: Model;
  let folder: string;
  usePortableEngine((made) => (engine = made));
  useTemporaryFolder((made) => (folder = made));
  useModel(
    () => decoder.open(engine),
    (made) => (model = made),
  );
  beforeEach(() => {
    moveParameters(model.addAdapter('a', shadow({ rank: 3, shadowLayers: 2 })), 1, 0.15);
  });

  /** Hidden states of a batch, cut into rows. */
  const rowsOf = (batch: ModelBatch, cache?: KeyValueCache): number[][] =>
    tf.tidy(() => model.forward(batch, { cache }).hidden.arraySync());

  it('goes on from a cache, also where its sequences change places', () => {
    const inputIds = Int32Array.of(3, 1, 4, 1, 5, 9);
    const whole = rowsOf({ inputIds, offsets: Int32Array.of(0, 3, 6) });
    const cache = new KeyValueCache();
    rowsOf({ inputIds: Int32Array.of(3, 1, 1, 5), offsets: Int32Array.of(0, 2, 4) }, cache);
    const before = cache.byteLength;
    cache.select(Int32Array.of(1, 0));
    const next = rowsOf({ inputIds: Int32Array.of(9, 4), offsets: Int32Array.of(0, 1, 2) }, cache);
    expect(next.flat()).toBeAllclose([...whole[5]!, ...whole[2]!], { atol: 1e-5 });
    // two blocks of the model and two of the shadow
    expect(cache.beside('a').byteLength).toBe(before / 2);
    cache.dispose();
  });

  it('takes over the sequences of another cache', () => {
    const [first, second] = [new KeyValueCache(), new KeyValueCache()];
    const one = { offsets: Int32Array.of(0, 2) };
    rowsOf({ inputIds: Int32Array.of(3, 1), ...one }, first);
    rowsOf({ inputIds: Int32Array.of(1, 5), ...one }, second);
    first.append(second);
    const next = rowsOf({ inputIds: Int32Array.of(4, 9), offsets: Int32Array.of(0, 1, 2) }, first);
    const whole = rowsOf({
      inputIds: Int32Array.of(3, 1, 4, 1, 5, 9),
      offsets: Int32Array.of(0, 3, 6),
    });
    expect(next.flat()).toBeAllclose([...whole[2]!, ...whole[5]!], { atol: 1e-5 });
    first.dispose();
  });

  it('says what its own network makes of a batch, and how much that counts', () => {
    const auxiliaryOf = (): readonly { hidden: Tensor2D; weight: number }[] =>
      model.forward(decoder.batch).auxiliary ?? [];
    tf.tidy(() => {
      const [only, ...others] = auxiliaryOf();
      expect(others).toEqual([]);
      expect(only!.weight).toBe(0.05);
      expect(only!.hidden.shape).toEqual([decoder.batch.inputIds.length, 12]);
    });
    model.deleteAdapter('a');
    model.addAdapter('b', shadow({ auxiliaryLossWeight: 0 }));
    tf.tidy(() => void expect(auxiliaryOf()).toEqual([]));
  });

  it('drops in training alone, the same for the same step', () => {
    const at = (step?: number): Float32Array =>
      tf.tidy(() =>
        model
          .forward(decoder.batch, step === undefined ? {} : { training: true, randomParts: [step] })
          .logits!.dataSync<'float32'>()
          .slice(),
      );
    expect(at(1)).toEqual(at(1));
    expect(at(1)).not.toEqual(at(2));
    expect(at()).toEqual(at());
  });

  it('refuses a stage of a model', () => {
    expect(() => model.forward(decoder.batch, { window: { first: 0, end: 1 } as never })).toThrow(
      expect.objectContaining({ code: 'PEFT_STAGE_UNSUPPORTED' }),
    );
  });

  it('reads the blocks from the file, and refuses a network of other sizes', async () => {
    model.deleteAdapter('a');
    model.addAdapter('b', shadow({ blocks: [1] }));
    await saveAdapter(model, 'b', folder, { allowUntrained: true });
    const file = join(folder, 'adapter_config.json');
    const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({
      peft_type: 'SHADOW',
      target_modules: ['model.layers.1'],
      shadow_model: 'mirror',
      shadow_num_hidden_layers: null,
    });
    writeFileSync(file, JSON.stringify({ ...config, target_modules: '.*layers\\.1$' }));
    const { adapter } = await loadAdapter(model, folder, { name: 'c', methods: [shadow] });
    expect([...adapter.parameters.keys()].some((name) => name.includes('layers.0.shadow_'))).toBe(
      false,
    );
    for (const [key, value] of [
      ['shadow_hidden_size', 8],
      ['shadow_model', 'some/model'],
    ] as const) {
      writeFileSync(file, JSON.stringify({ ...config, [key]: value }));
      await expect(loadAdapter(model, folder, { name: 'd', methods: [shadow] })).rejects.toThrow(
        `shadow: adapter_config.json sets ${key} to`,
      );
    }
  });
});

const SIZES = { vocab_size: 20, hidden_size: 8, intermediate_size: 16 };
const LAYERS = { num_hidden_layers: 2, num_attention_heads: 2 };
const CAUSAL = { kind: 'causal-lm' } as const;

test.each([
  [
    'gpt2',
    gpt2,
    { vocab_size: 20, n_embd: 8, n_layer: 2, n_head: 2 },
    CAUSAL,
    {},
    'word embeddings',
  ],
  [
    'experts',
    mixtral,
    { ...SIZES, ...LAYERS, num_key_value_heads: 2, num_local_experts: 2, num_experts_per_tok: 1 },
    CAUSAL,
    {},
    'several matrices in one parameter',
  ],
  [
    'a head of classes',
    llama,
    { ...SIZES, ...LAYERS },
    { kind: 'sequence-classification', outputs: 2 },
    {},
    'a sequence-classification head',
  ],
  ['more blocks', llama, { ...SIZES, ...LAYERS }, CAUSAL, { shadowLayers: 3 }, 'shadowLayers is 3'],
  ['another block', llama, { ...SIZES, ...LAYERS }, CAUSAL, { blocks: [2] }, 'there is no block 2'],
] as const)('%s is refused by name', (_, architecture, json, head, options, message) => {
  const config = architecture.parseConfig({ model_type: architecture.modelTypes[0], ...json });
  const description = describeModel(architecture as never, config, head);
  expect(() => attachAdapter('a', shadow(options), description, undefined)).toThrow(message);
});
