import {
  attachAdapter,
  describeModel,
  loadModel,
  randomWeights,
  type HeadOptions,
  type Model,
} from '@peft/core';
import { debertaV2, t5 } from '@peft/models';
import type { Engine } from '@peft/ops';
import { tinyModels, toBeAllclose, usePortableEngine } from '@peft/testing';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { attentionPrefix } from './attention-prefix.js';
import { embeddedPrompt } from './embedded-prompt.js';
import { prefixTuning } from './prefix-tuning.js';
import { promptTuning } from './prompt-tuning.js';
import { pTuning } from './p-tuning.js';

expect.extend({ toBeAllclose });

const T5 = {
  model_type: 't5',
  vocab_size: 23,
  d_model: 12,
  d_kv: 4,
  num_heads: 3,
  d_ff: 20,
  num_layers: 2,
  num_decoder_layers: 2,
};
const seq2seq: HeadOptions = { kind: 'seq2seq-lm' };
const t5With = (changes: object) =>
  describeModel(t5, t5.parseConfig({ ...T5, ...changes }), seq2seq);
const deberta = describeModel(
  debertaV2,
  debertaV2.parseConfig({
    model_type: 'deberta-v2',
    vocab_size: 23,
    hidden_size: 12,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    intermediate_size: 20,
    relative_attention: true,
    pos_att_type: ['c2p', 'p2c'],
    position_buckets: 4,
    max_position_embeddings: 16,
  }),
);

describe('prompts and prefixes', () => {
  let engine: Engine;
  usePortableEngine((active) => (engine = active));

  it('start at the embeddings of a text, repeated or cut to fit', () => {
    const model = tinyModels()[2]!.open(engine);
    const table = model.description.sites.find(({ role }) => role === 'embedding.word')!.path;
    const rows = tf.tidy(
      () => model.readBaseParameter(`${table}.weight`).arraySync() as number[][],
    );
    const start = (virtualTokens: number) => {
      const { value } = model
        .addAdapter('a', promptTuning({ virtualTokens, init: 'text', initTokenIds: [4, 9] }))
        .parameters.get('prompt_embeddings')!;
      const values = value.arraySync();
      model.deleteAdapter('a');
      return values;
    };
    expect(start(3)).toEqual([rows[4], rows[9], rows[4]]);
    expect(start(1)).toEqual([rows[4]]);
    model.dispose();
  });

  it('behind the embeddings are for encoders, from uniform rows or those of a text', () => {
    const model = tinyModels()[0]!.open(engine);
    const values = (options: Parameters<typeof embeddedPrompt>[0]) => {
      const { value } = model
        .addAdapter('a', embeddedPrompt(options))
        .parameters.get('bert.embeddings.prompt_embedding.weight')!;
      const rows = value.arraySync() as number[][];
      model.deleteAdapter('a');
      return rows;
    };
    const drawn = values({ promptLength: 40, initRange: 0.25 }).flat();
    expect(Math.max(...drawn.map(Math.abs))).toBeLessThanOrEqual(0.25);
    expect(Math.max(...drawn.map(Math.abs))).toBeGreaterThan(0.2);
    const table = tf.tidy(
      () =>
        model.readBaseParameter('bert.embeddings.word_embeddings.weight').arraySync() as number[][],
    );
    expect(values({ promptLength: 3, init: 'text', initTokenIds: [4, 9] })).toEqual([
      table[4],
      table[9],
      table[4],
    ]);
    model.dispose();
    for (const other of tinyModels()
      .slice(1)
      .map((tiny) => tiny.open(engine))) {
      expect(() => other.addAdapter('a', embeddedPrompt())).toThrow(
        expect.objectContaining({ code: 'PEFT_METHOD_UNSUPPORTED' }),
      );
      expect(() => other.addAdapter('a', embeddedPrompt({ targets: ['embed_tokens'] }))).toThrow(
        'embedded-prompt: ',
      );
      other.dispose();
    }
  });

  it("behind the embeddings are read from adapter-hub's config, as far as it says what they are", () => {
    const read = (json: Record<string, unknown>) =>
      embeddedPrompt.adapterHub!.fromConfig(
        { architecture: 'prompt_tuning', ...json },
        { description: deberta, keys: [], version: 'adapters.1.2.0' },
      );
    expect(
      read({
        prompt_length: 4,
        prompt_init: 'from_string',
        prompt_init_text: 'good?',
        combine: 'prefix',
      }),
    ).toEqual({ promptLength: 4, init: 'text', initText: 'good?', isLoaded: true });
    expect(() => read({ combine: 'prefix_after_bos' })).toThrow(
      'embedded-prompt: adapter_config.json sets combine to "prefix_after_bos"; only "prefix" is supported.',
    );
  });

  it('start at rows of the vocabulary', () => {
    const model = tinyModels()[2]!.open(engine);
    const table = model.description.sites.find(({ role }) => role === 'embedding.word')!.path;
    const rows = new Set(
      tf.tidy(() =>
        (model.readBaseParameter(`${table}.weight`).arraySync() as number[][]).map(String),
      ),
    );
    const { value } = model
      .addAdapter('a', promptTuning({ virtualTokens: 6, init: 'vocabulary' }))
      .parameters.get('prompt_embeddings')!;
    const drawn = (value.arraySync() as number[][]).map(String);
    expect(drawn.every((row) => rows.has(row))).toBe(true);
    expect(new Set(drawn).size).toBeGreaterThan(1);
    model.dispose();
  });

  it('put as many rows in front of each sequence, whose own states depend on them', () => {
    const { open, batch } = tinyModels()[2]!;
    const model = open(engine);
    model.addAdapter('a', pTuning({ virtualTokens: 2, encoderHiddenSize: 4 }));
    tf.tidy(() => {
      const { offsets, logits } = model.forward(batch);
      expect([...offsets]).toEqual([...batch.offsets].map((offset, b) => offset + 2 * b));
      expect(logits!.shape[0]).toBe(offsets.at(-1));
    });
    model.dispose();
  });

  it('as a cache of zeros still take their share of the attention', () => {
    const { open, batch } = tinyModels()[0]!;
    const model = open(engine);
    const states = () => tf.tidy(() => model.forward(batch).hidden.dataSync().slice());
    const before = states();
    model.addAdapter('a', prefixTuning({ virtualTokens: 3, initWeights: 'zero' }));
    expect(states()).not.toBeAllclose(before, { atol: 1e-3 });
    model.dispose();
  });

  it('stand in the encoder alone where a model has one before its decoder, as PEFT reads its two halves', () => {
    const adapter = attachAdapter('a', promptTuning({ virtualTokens: 5 }), t5With({}), undefined);
    expect(adapter.wrappedSites.map(({ path }) => path)).toEqual(['encoder.embed_tokens']);
    expect(adapter.parameters.get('prompt_embeddings')!.shape).toEqual([10, 12]);
  });

  it("as a cache stand in the decoder's own attention, as PEFT leaves it", () => {
    const adapter = attachAdapter('a', prefixTuning({ virtualTokens: 5 }), t5With({}), undefined);
    expect(adapter.wrappedSites.map(({ path }) => path)).toEqual([
      'decoder.block.0.layer.0.SelfAttention',
      'decoder.block.1.layer.0.SelfAttention',
    ]);
    expect(adapter.parameters.get('prompt_embeddings')!.shape).toEqual([5, 2 * 2 * 12]);
  });

  it('as a cache are refused where the original fails, with what to do instead', () => {
    const attach = (description: Model['description']) => () =>
      attachAdapter('a', prefixTuning(), description, undefined);
    expect(attach(t5With({ num_decoder_layers: 3 }))).toThrow(
      'prefix-tuning: t5 has 2 encoder and 3 decoder blocks, and the original counts one ' +
        'for the other.\n' +
        '  hint: use attentionPrefix or promptTuning',
    );
    expect(attach(t5With({ d_kv: 8 }))).toThrow(
      'prefix-tuning: t5 has keys of width 24 in a model of width 12, and the original takes one for the other.',
    );
    expect(attach(deberta)).toThrow(
      'prefix-tuning: deberta-v2 has no key-value cache that a prefix could stand in.\n' +
        '  hint: use attentionPrefix, which stands beside the sequence, or promptTuning',
    );
  });

  it('beside the sequence work on DeBERTa, gated, too', () => {
    const json = {
      model_type: 'deberta-v2',
      vocab_size: 23,
      hidden_size: 12,
      num_hidden_layers: 2,
      num_attention_heads: 3,
      intermediate_size: 20,
      relative_attention: true,
      pos_att_type: ['c2p', 'p2c'],
      position_buckets: 4,
      max_position_embeddings: 16,
    };
    const model = loadModel(debertaV2, json, randomWeights(deberta, { seed: 1 }), engine);
    const { batch } = tinyModels()[0]!;
    const states = () => tf.tidy(() => model.forward(batch).hidden.dataSync().slice());
    const before = states();
    for (const useGating of [false, true]) {
      model.addAdapter('a', attentionPrefix({ prefixLength: 2, bottleneckSize: 4, useGating }));
      const trained = model.trainables();
      const { grads, value } = tf.tidy(() =>
        tf.variableGrads(
          () => tf.sum(tf.square(model.forward(batch).hidden)).asScalar(),
          trained.map((parameter) => parameter.value),
        ),
      );
      for (const { name, value: variable } of trained)
        expect(
          tf.tidy(() => tf.norm(grads[variable.name]!).dataSync()[0]),
          name,
        ).toBeGreaterThan(0);
      tf.dispose([grads, value]);
      expect(states()).not.toBeAllclose(before, { atol: 1e-4 });
      model.deleteAdapter('a');
    }
    model.dispose();
  });

  it('have a network for each of encoder, decoder and cross attention', () => {
    const shapes = (options: Parameters<typeof attentionPrefix>[0]) => {
      const adapter = attachAdapter(
        'a',
        attentionPrefix({ prefixLength: 3, bottleneckSize: 5, ...options }),
        t5With({ num_decoder_layers: 3 }),
        undefined,
      );
      return [...adapter.parameters.values()]
        .filter(({ name }) => name.endsWith('control_trans.2.weight'))
        .map(({ name, shape }) => `${name} ${String(shape)}`);
    };
    const key = (stack: string, blocks: number) =>
      `prefix_tunings.${stack}_prefix.control_trans.2.weight ${2 * 12 * blocks},5`;
    expect(shapes({})).toEqual([key('encoder', 2), key('self', 3), key('cross', 3)]);
    expect(shapes({ encoderPrefix: false })).toEqual([key('self', 3), key('cross', 3)]);
    expect(shapes({ crossPrefix: false, leaveOut: [0, 4] })).toEqual([
      key('encoder', 1),
      key('self', 2),
    ]); // block 4 is the decoder's third
  });
});
