/** Rows that are computed and not attended to, as implementations that pad have them. */
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  describeModel,
  loadModel,
  randomWeights,
  type Architecture,
  type HeadOptions,
  type Model,
} from '@peft/core';
import { bert, debertaV2, llama, mistral, roberta } from '@peft/models';
import type { Engine } from '@peft/ops';
import { prefixTuning, promptTuning } from '@peft/prompt-tuning';
import { toBeAllclose } from '@peft/testing';
import { openEngine } from '../../../tools/golden/engines.js';

expect.extend({ toBeAllclose });

const SIZES = {
  vocab_size: 20,
  hidden_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  intermediate_size: 20,
  max_position_embeddings: 24,
};
const PAD = 1;
const texts = [
  [5, 6, 7, 8],
  [9, 10],
];
const tokens = { inputIds: Int32Array.from(texts.flat()), offsets: Int32Array.of(0, 4, 6) };
const padded = {
  inputIds: Int32Array.of(5, 6, 7, 8, PAD, 9, 10, PAD, PAD, PAD),
  offsets: Int32Array.of(0, 5, 10),
  padding: Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 1, 1, 1),
};

describe('padding rows', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine('portable');
  });
  afterAll(() => engine.dispose());

  function withModel<Config>(
    architecture: Architecture<Config>,
    json: Record<string, unknown>,
    head: HeadOptions,
    body: (model: Model) => void,
  ): void {
    const weights = randomWeights(
      describeModel(architecture, architecture.parseConfig(json), head),
      { standardDeviation: 0.3 },
    );
    const model = loadModel(architecture, json, weights, engine, { head });
    try {
      tf.tidy(() => body(model));
    } finally {
      model.dispose();
    }
  }

  test.each([
    ['bert', bert],
    ['roberta', roberta],
  ] as const)('change nothing for the tokens of %s', (modelType, architecture) => {
    withModel(
      architecture as Architecture<unknown>,
      { model_type: modelType, pad_token_id: PAD, ...SIZES },
      { kind: 'none' },
      (model) => {
        const alone = model.forward(tokens).hidden.arraySync();
        const states = model.forward(padded).hidden.arraySync();
        expect(states.filter((_, n) => padded.padding[n] === 0)).toBeAllclose(alone, {
          atol: 1e-5,
        });
        const seen = model.forward({ ...padded, padding: undefined }).hidden.arraySync();
        expect(seen.filter((_, n) => padded.padding[n] === 0)).not.toBeAllclose(alone, {
          atol: 1e-3,
        });
      },
    );
  });

  test('change nothing for the tokens of a causal model, and read the tokens in front alone', () => {
    withModel(
      llama,
      { model_type: 'llama', pad_token_id: PAD, ...SIZES },
      { kind: 'none' },
      (model) => {
        const alone = model.forward(tokens).hidden.arraySync();
        const states = model.forward(padded).hidden.arraySync();
        expect(states.filter((_, n) => padded.padding[n] === 0)).toBeAllclose(alone, {
          atol: 1e-5,
        });
        // What other padding stands between is nothing to the last row.
        const other = model
          .forward({
            ...padded,
            inputIds: padded.inputIds.map((id, n) => (n === 7 || n === 8 ? 13 : id)),
          })
          .hidden.arraySync();
        expect(other[9]!).toBeAllclose(states[9]!, { atol: 1e-6 });
        const changed = model
          .forward({ ...padded, inputIds: padded.inputIds.map((id, n) => (n === 6 ? 13 : id)) })
          .hidden.arraySync();
        expect(changed[9]!).not.toBeAllclose(states[9]!, { atol: 1e-3 });
      },
    );
  });

  test('stand behind virtual tokens, and are what a causal classifier then reads', () => {
    withModel(
      llama,
      { model_type: 'llama', pad_token_id: PAD, ...SIZES },
      { kind: 'sequence-classification', outputs: 2 },
      (model) => {
        model.addAdapter('prompt', promptTuning({ virtualTokens: 2 }));
        const score = model.forward(padded);
        expect(score.offsets).toEqual(Int32Array.of(0, 7, 14));
        const weight = tf.transpose(model.readParameter('score.weight')) as tf.Tensor2D;
        expect(score.logits!).toBeAllclose(
          (tf.matMul(tf.gather(score.hidden, [6, 13]), weight) as tf.Tensor2D).arraySync(),
          { atol: 1e-5 },
        );
        expect(score.logits!.arraySync()).not.toBeAllclose(
          model.forward(tokens).logits!.arraySync(),
          { atol: 1e-3 },
        );
      },
    );
  });

  test('are refused where attention counts positions', () => {
    const relative = { relative_attention: true, pos_att_type: ['c2p'], position_buckets: 4 };
    withModel(
      debertaV2,
      { model_type: 'deberta-v2', ...SIZES, ...relative },
      { kind: 'none' },
      (model) => {
        expect(() => model.forward(padded)).toThrow(
          expect.objectContaining({ code: 'PEFT_BATCH_PADDING' }),
        );
      },
    );
  });

  test('are refused where there is nothing for them to see, and with keys in front of a sequence', () => {
    const refused = (message: RegExp) =>
      expect.objectContaining({
        code: 'PEFT_BATCH_PADDING',
        message: expect.stringMatching(message) as unknown,
      });
    withModel(
      mistral,
      { model_type: 'mistral', sliding_window: 2, num_key_value_heads: 3, ...SIZES },
      { kind: 'none' },
      (model) => {
        expect(() => model.forward(padded)).toThrow(
          refused(/no token is in front of the padding in row 8, or in its window/),
        );
      },
    );
    withModel(llama, { model_type: 'llama', ...SIZES }, { kind: 'none' }, (model) => {
      expect(() =>
        model.forward({
          inputIds: Int32Array.of(PAD, 5),
          offsets: Int32Array.of(0, 2),
          padding: Uint8Array.of(1, 0),
        }),
      ).toThrow(refused(/no token is in front of the padding in row 0/));
      model.addAdapter('prefix', prefixTuning({ virtualTokens: 2 }));
      expect(() => model.forward(padded)).toThrow(refused(/keys in front of a sequence/));
    });
  });
});
