import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { openSafetensors } from '@peft/hub';
import { lora } from '@peft/lora';
import { llama } from '@peft/models';
import { memorySource, type Engine } from '@peft/ops';
import { seededValues, usePortableEngine, useTemporaryFolder } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { loadAdapter, saveAdapter } from '../files/adapter-files.js';
import { describeModel } from '../model/form/describe-model.js';
import { loadModel } from '../model/load-model.js';
import type { Model } from '../model/model.js';
import type { WeightStore } from '../model/weights/weight-store.js';

const CONFIG = {
  model_type: 'llama',
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  max_position_embeddings: 16,
};
const BATCH = { inputIds: Int32Array.of(1, 4, 2, 7, 3), offsets: Int32Array.of(0, 3, 5) };
const [EMBEDDING, OUTPUT] = ['model.embed_tokens.weight', 'lm_head.weight'];

/** Every tensor by its name's seed; a table under another seed where `seeds` says so. */
function store(isTied: boolean, seeds: Readonly<Record<string, string>> = {}): WeightStore {
  const specs = new Map(
    describeModel(llama, llama.parseConfig({ ...CONFIG, tie_word_embeddings: isTied }), {
      kind: 'causal-lm',
    }).parameters.map((spec) => [spec.name, spec]),
  );
  return {
    names: () => specs.keys(),
    get(name) {
      const spec = specs.get(name);
      if (!spec) return undefined;
      return memorySource(
        name,
        spec.shape,
        seededValues(
          seeds[name] ?? (name === OUTPUT ? EMBEDDING : name),
          spec.shape.reduce((size, length) => size * length, 1),
          0.4,
        ),
      );
    },
  };
}

describe('an output layer that reads the table of the embedding', () => {
  let engine: Engine;
  let folder: string;
  usePortableEngine((active) => (engine = active));
  useTemporaryFolder((path) => (folder = path));
  const open = (isTied: boolean, seeds?: Readonly<Record<string, string>>): Model =>
    loadModel(llama, { ...CONFIG, tie_word_embeddings: isTied }, store(isTied, seeds), engine, {
      head: { kind: 'causal-lm' },
    });
  const logits = (model: Model): Float32Array =>
    tf.tidy(() => model.forward(BATCH).logits!.dataSync<'float32'>().slice());
  /** Trains nothing but gives the saved table other values. */
  const assign = (model: Model, name: string): void =>
    tf.tidy(() =>
      model
        .adapter('a')
        .parameters.get(name)!
        .value.assign(tf.tensor2d(seededValues('trained', 88, 0.4), [11, 8])),
    );

  it.each([
    {
      title: 'keeps its own values when the embedding is saved whole',
      options: { modulesToSave: ['embed_tokens'] },
      trained: EMBEDDING,
      untied: true,
      seeds: { [EMBEDDING]: 'trained' },
      merges: false,
    },
    {
      title: 'saved whole leaves the embedding as it was',
      options: { modulesToSave: ['lm_head'] },
      trained: OUTPUT,
      untied: true,
      seeds: { [OUTPUT]: 'trained' },
      merges: false,
    },
    {
      title: 'trains with the embedding when they stay tied',
      options: { modulesToSave: ['embed_tokens'], ensureWeightTying: true },
      trained: EMBEDDING,
      untied: false,
      seeds: { [EMBEDDING]: 'trained' },
      merges: true,
    },
    {
      title: 'named itself trains the table of both when they stay tied',
      options: { modulesToSave: ['lm_head'], ensureWeightTying: true },
      trained: EMBEDDING,
      untied: false,
      seeds: { [EMBEDDING]: 'trained' },
      merges: true,
    },
  ])('$title', async ({ title, options, trained, untied, seeds, merges }) => {
    const before = tf.memory().numTensors;
    const model = open(true);
    const bare = logits(model);
    model.addAdapter('a', lora({ rank: 1, targets: ['q_proj'], ...options }));
    expect(logits(model)).toBeAllclose(bare, { atol: 1e-6 });
    assign(model, trained);
    const active = logits(model);
    const expected = open(!untied, seeds);
    expect(active).toBeAllclose(logits(expected), { atol: 1e-5 });

    if (merges) {
      model.mergeAdapters();
      expect(logits(model)).toBeAllclose(active, { atol: 1e-5 });
      model.unmergeAdapters();
    } else
      expect(() => model.mergeAdapters()).toThrow(
        expect.objectContaining({ code: 'PEFT_MERGE_INEXACT' }),
      );

    const place = join(folder, title.replaceAll(' ', '-'));
    await saveAdapter(model, 'a', place);
    const file = openSafetensors(join(place, 'adapter_model.safetensors'));
    expect(file.names().filter((key) => !key.includes('lora_'))).toEqual([
      ...(merges ? [`base_model.model.${OUTPUT}`] : []),
      `base_model.model.${trained}`,
    ]);
    file.close();
    const other = open(true);
    const { warnings } = await loadAdapter(other, place, { methods: [lora] });
    expect(warnings).toEqual([]);
    expect(logits(other)).toEqual(active);
    for (const each of [model, expected, other]) each.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('is refused as tied where what stands on the embedding does not go on to it', () => {
    const model = open(true);
    expect(() =>
      model.addAdapter('a', lora({ targets: ['embed_tokens'], ensureWeightTying: true })),
    ).toThrow(expect.objectContaining({ code: 'PEFT_CONFIG_UNSUPPORTED' }));
    expect(model.adapterNames).toEqual([]);
    model.dispose();
  });

  it('is not merged into, since the embedding would change with it', () => {
    const model = open(true);
    model.addAdapter('a', lora({ rank: 2, targets: ['q_proj', 'lm_head'], init: 'random' }));
    const active = logits(model);
    expect(() => model.mergeAdapters()).toThrow(
      expect.objectContaining({
        code: 'PEFT_MERGE_INEXACT',
        message: expect.stringContaining('lm_head is also that of model.embed_tokens') as string,
      }),
    );
    expect(model.mergedAdapters).toEqual([]);
    expect(logits(model)).toEqual(active);
    model.dispose();
  });

  it('is the one of the checkpoint where that holds another', () => {
    const load = (isTied: boolean, file: WeightStore): Model =>
      loadModel(llama, { ...CONFIG, tie_word_embeddings: isTied }, file, engine, {
        head: { kind: 'causal-lm' },
      });
    const own = store(false, { [OUTPUT]: 'another' });
    const [untied, model, copied] = [load(false, own), load(true, own), load(true, store(false))];
    expect(logits(model)).toEqual(logits(untied));
    expect(model.warnings).toEqual([expect.stringContaining('tie_word_embeddings')]);
    expect(copied.description.parameters.some(({ name }) => name === OUTPUT)).toBe(false);
    expect([copied.warnings, untied.warnings]).toEqual([[], []]);
    for (const each of [untied, model, copied]) each.dispose();
  });

  it('is random, and said to be, where config and checkpoint leave it out', () => {
    const model = loadModel(llama, { ...CONFIG, tie_word_embeddings: false }, store(true), engine, {
      head: { kind: 'causal-lm' },
    });
    expect(model.warnings).toEqual([expect.stringContaining('lacks lm_head.weight')]);
    model.dispose();
  });
});
