import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { openSafetensors } from '@peft/hub';
import { lora } from '@peft/lora';
import { t5 } from '@peft/models';
import type { Engine } from '@peft/ops';
import { seededValues, usePortableEngine, useTemporaryFolder } from '@peft/testing';
import { trainableTokens } from '@peft/trainable-tokens';
import { describe, expect, it } from 'vitest';
import type { HeadOptions } from '../description/model-description.js';
import { siteAt } from '../description/site-index.js';
import { loadAdapter, saveAdapter } from '../files/adapter-files.js';
import type { MethodSpec } from '../method/peft-method.js';
import type { ModelBatch } from '../model/architecture.js';
import { describeModel } from '../model/form/describe-model.js';
import { loadModel } from '../model/load-model.js';
import type { Model } from '../model/model.js';
import { randomWeights } from '../model/weights/random-weights.js';

const [V, D] = [11, 8];
const CONFIG = {
  model_type: 't5',
  vocab_size: V,
  d_model: D,
  d_kv: 4,
  num_heads: 2,
  d_ff: 12,
  num_layers: 1,
  num_decoder_layers: 1,
  relative_attention_num_buckets: 8,
  relative_attention_max_distance: 16,
};
const SEQ2SEQ: HeadOptions = { kind: 'seq2seq-lm' };
const DECODER = { inputIds: Int32Array.of(0, 5, 2), offsets: Int32Array.of(0, 2, 3) };
const BATCH: ModelBatch = {
  inputIds: Int32Array.of(1, 4, 2, 7, 3),
  offsets: Int32Array.of(0, 3, 5),
  decoder: DECODER,
};

describe('embeddings that read the table of another', () => {
  let engine: Engine;
  let folder: string;
  usePortableEngine((active) => (engine = active));
  useTemporaryFolder((path) => (folder = path));

  /** Tied: without an output layer of its own. */
  const open = (head: HeadOptions = SEQ2SEQ): Model => {
    const description = describeModel(t5, t5.parseConfig(CONFIG), head);
    return loadModel(t5, CONFIG, randomWeights(description, { standardDeviation: 0.4 }), engine, {
      head,
    });
  };
  const logits = (model: Model, batch = BATCH): Float32Array =>
    tf.tidy(() => {
      const output = model.forward(batch);
      return (output.logits ?? output.hidden).dataSync<'float32'>().slice();
    });
  const train = (model: Model): void => {
    for (const { name, value } of model.adapter('a').parameters.values())
      tf.tidy(() => value.assign(tf.tensor(seededValues(name, value.size, 0.5), value.shape)));
  };
  /** Logits with these tables in place of the stacks' own: their rows come in from outside. */
  const withTables = (
    model: Model,
    tables: { readonly encoder: Float32Array; readonly decoder: Float32Array },
  ): Float32Array =>
    tf.tidy(() => {
      const rows = (table: Float32Array, ids: Int32Array) =>
        tf.gather(tf.tensor2d(table, [V, D]), [...ids]) as Tensor2D;
      return logits(model, {
        ...BATCH,
        inputsEmbeds: rows(tables.encoder, BATCH.inputIds),
        decoder: { ...DECODER, inputsEmbeds: rows(tables.decoder, DECODER.inputIds) },
      });
    });
  const base = (model: Model): Float32Array =>
    tf.tidy(() => model.readBaseParameter('shared.weight').dataSync<'float32'>().slice());
  /** The table of an embedding with what is merged into it at one site. */
  const changed = (model: Model, path: string): Float32Array =>
    tf.tidy(() =>
      model.adapter('a').at('embedding', path)[0]!.attachment.merge!(
        model.readBaseParameter('shared.weight') as Tensor2D,
      )
        .dataSync<'float32'>()
        .slice(),
    );

  it('are sites of their own', () => {
    const model = open();
    expect(siteAt(model.description, 'embedding', 'decoder.embed_tokens')).toMatchObject({
      tiedTo: 'shared',
      weight: 'shared.weight',
      rows: V,
      size: D,
    });
    model.dispose();
  });

  // What PEFT 0.21 wrote and counted for the same options on a T5 of these sizes.
  const cases: readonly {
    readonly title: string;
    readonly spec: () => MethodSpec;
    readonly at: readonly ('encoder' | 'decoder')[];
    readonly trainable: number;
    readonly keys: readonly string[];
  }[] = [
    {
      title: 'LoRA on both',
      spec: () => lora({ rank: 2, targets: ['embed_tokens'] }),
      at: ['encoder', 'decoder'],
      trainable: 2 * 2 * (V + D),
      keys: [
        'decoder.embed_tokens.lora_embedding_A',
        'decoder.embed_tokens.lora_embedding_B',
        'encoder.embed_tokens.lora_embedding_A',
        'encoder.embed_tokens.lora_embedding_B',
      ],
    },
    {
      title: 'LoRA on one',
      spec: () => lora({ rank: 2, targets: ['encoder.embed_tokens'] }),
      at: ['encoder'],
      trainable: 2 * (V + D),
      keys: ['encoder.embed_tokens.lora_embedding_A', 'encoder.embed_tokens.lora_embedding_B'],
    },
    {
      title: 'token rows of one',
      spec: () => trainableTokens({ tokenIndices: [2, 5], targets: ['decoder.embed_tokens'] }),
      at: ['decoder'],
      trainable: 2 * D,
      keys: ['decoder.embed_tokens.trainable_tokens_delta'],
    },
    {
      title: 'both saved whole',
      spec: () => lora({ rank: 2, targets: ['wo'], modulesToSave: ['embed_tokens'] }),
      at: ['encoder', 'decoder'],
      trainable: 2 * V * D + 2 * 2 * (12 + D),
      keys: ['decoder.embed_tokens.weight', 'encoder.embed_tokens.weight'],
    },
  ];

  it.each(cases)(
    'take $title without changing what else reads the table',
    async ({ title, spec, at, trainable, keys }) => {
      const before = tf.memory().numTensors;
      const model = open();
      model.addAdapter('a', spec());
      expect(model.parameterCounts().trainable).toBe(trainable);
      train(model);
      for (const { name, value } of model.adapter('a').parameters.values())
        if (name.includes('.wo.')) tf.tidy(() => value.assign(tf.zerosLike(value)));
      const active = logits(model);
      const tables = {
        encoder: base(model),
        decoder: base(model),
        ...Object.fromEntries(at.map((stack) => [stack, changed(model, `${stack}.embed_tokens`)])),
      };
      expect(active).toBeAllclose(
        model.withAdaptersDisabled(() => withTables(model, tables)),
        { atol: 1e-5 },
      );
      expect(() => model.mergeAdapters()).toThrow(
        expect.objectContaining({ code: 'PEFT_MERGE_INEXACT' }),
      );

      const place = join(folder, title.replaceAll(' ', '-'));
      await saveAdapter(model, 'a', place);
      const file = openSafetensors(join(place, 'adapter_model.safetensors'));
      expect(
        file
          .names()
          .filter((key) => !key.includes('.wo.'))
          .sort(),
      ).toEqual(keys.map((key) => `base_model.model.${key}`));
      file.close();
      const other = open();
      expect(
        (await loadAdapter(other, place, { methods: [lora, trainableTokens] })).warnings,
      ).toEqual([]);
      expect(logits(other)).toEqual(active);
      for (const each of [model, other]) each.dispose();
      expect(tf.memory().numTensors).toBe(before);
    },
  );

  it('all follow rows that train where the table is, and the output layer with them', () => {
    const model = open();
    model.addAdapter('a', trainableTokens({ tokenIndices: [2, 5] }));
    expect(model.parameterCounts().trainable).toBe(2 * D);
    train(model);
    const active = logits(model);
    model.mergeAdapters();
    expect(logits(model)).toBeAllclose(active, { atol: 1e-5 });
    expect(tf.tidy(() => model.readParameter('shared.weight').dataSync())).not.toEqual(base(model));
    model.dispose();
  });

  it('train the one table together when they are to stay tied', () => {
    const model = open();
    model.addAdapter(
      'a',
      lora({ rank: 1, targets: ['wo'], modulesToSave: ['embed_tokens'], ensureWeightTying: true }),
    );
    expect([...model.adapter('a').parameters.keys()]).toContain('shared.weight');
    expect([...model.adapter('a').parameters.keys()]).not.toContain('encoder.embed_tokens.weight');
    model.dispose();
  });

  it.each([{ targets: ['embed_tokens'] }, { targets: ['encoder.embed_tokens'] }])(
    'are refused as tied where what stands on them does not go on to the others ($targets)',
    ({ targets }) => {
      const model = open();
      expect(() => model.addAdapter('a', lora({ targets, ensureWeightTying: true }))).toThrow(
        expect.objectContaining({ code: 'PEFT_CONFIG_UNSUPPORTED' }),
      );
      expect(model.adapterNames).toEqual([]);
      model.dispose();
    },
  );

  it('merge where nothing else reads the table', () => {
    const model = open({ kind: 'none' });
    model.addAdapter('a', lora({ rank: 2, targets: ['embed_tokens'] }));
    train(model);
    const active = logits(model);
    model.mergeAdapters();
    expect(logits(model)).toBeAllclose(active, { atol: 1e-5 });
    model.dispose();
  });

  it.each([{ targets: ['shared', 'wo'] }, { targets: ['wo'], modulesToSave: ['shared'] }])(
    'say so when an adapter would stand on the module that only holds the table (%j)',
    (options) => {
      const model = open();
      expect(() => model.addAdapter('a', lora(options))).toThrow(
        /that encoder\.embed_tokens and decoder\.embed_tokens read; .*\n.*name encoder\.embed_tokens or decoder/,
      );
      expect(model.adapterNames).toEqual([]);
      model.dispose();
    },
  );

  it('leave a file of such an adapter without effect, as PEFT does', () => {
    const model = open();
    const bare = logits(model);
    model.addAdapter('a', lora({ rank: 2, targets: ['shared', 'wo'], modulesToSave: ['shared'] }), {
      strict: false,
    });
    model.deleteAdapter('a');
    model.addAdapter('a', lora({ rank: 2, targets: ['shared'] }), { strict: false });
    train(model);
    expect(logits(model)).toEqual(bare);
    model.deleteAdapter('a');
    model.addAdapter('a', lora({ rank: 2, targets: ['wo'], modulesToSave: ['shared'] }), {
      strict: false,
    });
    tf.tidy(() =>
      model
        .adapter('a')
        .parameters.get('shared.weight')!
        .value.assign(tf.ones([V, D])),
    );
    expect(logits(model)).toEqual(bare);
    model.dispose();
  });
});
