/** Rows that are computed and not attended to, as implementations that pad have them. */
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeModel, loadModel, randomWeights, type Architecture, type HeadOptions, type Model } from '@peft/core';
import { bert, debertaV2, llama, roberta } from '@peft/models';
import type { Engine } from '@peft/ops';
import { toBeAllclose } from '@peft/testing';
import { openEngine } from '../../../tools/golden/engines.js';

expect.extend({ toBeAllclose });

const SIZES = { vocab_size: 20, hidden_size: 12, num_hidden_layers: 2, num_attention_heads: 3, intermediate_size: 20, max_position_embeddings: 24 };
const PAD = 1;
const texts = [[5, 6, 7, 8], [9, 10]];
const tokens = { inputIds: Int32Array.from(texts.flat()), offsets: Int32Array.of(0, 4, 6) };
const padded = { inputIds: Int32Array.of(5, 6, 7, 8, PAD, 9, 10, PAD, PAD, PAD), offsets: Int32Array.of(0, 5, 10), padding: Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 1, 1, 1) };

describe('padding rows', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine('portable');
  });
  afterAll(() => engine.dispose());

  function withModel<Config>(architecture: Architecture<Config>, json: Record<string, unknown>, head: HeadOptions, body: (model: Model) => void): void {
    const weights = randomWeights(describeModel(architecture, architecture.parseConfig(json), head), { standardDeviation: 0.3 });
    const model = loadModel(architecture, json, weights, engine, { head });
    try {
      tf.tidy(() => body(model));
    } finally {
      model.dispose();
    }
  }

  test.each([['bert', bert], ['roberta', roberta]] as const)('change nothing for the tokens of %s', (modelType, architecture) => {
    withModel(architecture as Architecture<unknown>, { model_type: modelType, pad_token_id: PAD, ...SIZES }, { kind: 'none' }, (model) => {
      const alone = model.forward(tokens).hidden.arraySync() as number[][];
      const states = model.forward(padded).hidden.arraySync() as number[][];
      expect(states.filter((_, n) => padded.padding[n] === 0)).toBeAllclose(alone, { atol: 1e-5 });
      const seen = model.forward({ ...padded, padding: undefined as unknown as Uint8Array }).hidden.arraySync() as number[][];
      expect(seen.filter((_, n) => padded.padding[n] === 0)).not.toBeAllclose(alone, { atol: 1e-3 });
    });
  });

  test.each([['llama', llama, { kind: 'causal-lm' }], ['deberta-v2', debertaV2, { kind: 'none' }]] as const)('are refused where attention counts positions (%s)', (modelType, architecture, head) => {
    const relative = { relative_attention: true, pos_att_type: ['c2p'], position_buckets: 4 };
    withModel(architecture as Architecture<unknown>, { model_type: modelType, ...SIZES, ...relative }, head, (model) => {
      expect(() => model.forward(padded)).toThrow(expect.objectContaining({ code: 'PEFT_BATCH_PADDING' }));
    });
  });
});
