/**
 * What a ladder is for: nothing is differentiated, or kept, of the blocks that it stands beside. And
 * what runs beside the blocks goes on from a cache as they do.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  describeModel,
  KeyValueCache,
  loadModel,
  randomWeights,
  type MethodSpec,
  type Model,
  type ModelBatch,
} from '@peft/core';
import { qwen3 } from '@peft/models';
import { variableGradients, watchReferences, type Engine } from '@peft/ops';
import { moveParameters, tinyModels, toBeAllclose, usePortableEngine } from '@peft/testing';
import { expect, test, vi } from 'vitest';
import { controlnet } from './controlnet.js';
import { ladder } from './ladder.js';

expect.extend({ toBeAllclose });
let engine: Engine;
usePortableEngine((made) => (engine = made));

const BATCH: ModelBatch = {
  inputIds: Int32Array.of(3, 1, 4, 1, 5, 9, 2),
  offsets: Int32Array.of(0, 3, 7),
};
const HEAD = { kind: 'causal-lm' } as const;

function opened(spec: MethodSpec, intermediateSize = 20, layers = 3): Model {
  const json = {
    model_type: 'qwen3',
    vocab_size: 23,
    hidden_size: 12,
    intermediate_size: intermediateSize,
    num_hidden_layers: layers,
    num_attention_heads: 3,
    num_key_value_heads: 3,
    head_dim: 4,
    tie_word_embeddings: false,
  };
  const weights = randomWeights(describeModel(qwen3, qwen3.parseConfig(json), HEAD));
  const model = loadModel(qwen3, json, weights, engine, { head: HEAD });
  moveParameters(model.addAdapter('a', spec), 1, 0.15);
  return model;
}

/** Bytes that a training step holds when its loss is made, and gradient kernels that it runs. */
function stepOf(model: Model): { readonly kept: number; readonly attentionGradients: number } {
  tf.tidy(() => void model.forward(BATCH)); // weights are unpacked when they are first read
  const before = tf.memory().numBytes;
  let [kept, attentionGradients] = [0, 0];
  const end = watchReferences((name) => {
    if (name === 'PeftAttentionGradient') attentionGradients += 1;
  });
  try {
    tf.tidy(() =>
      variableGradients(
        () => {
          const loss = tf.tidy(() => tf.sum(model.forward(BATCH, { training: true }).logits!));
          kept = tf.memory().numBytes - before;
          return loss as tf.Scalar;
        },
        model.trainables().map(({ value }) => value),
      ),
    );
  } finally {
    end();
  }
  return { kept, attentionGradients };
}

test('runs no gradient of a frozen block: of its weights, the output layer alone is one', () => {
  const model = opened(ladder({ reductionFactor: 3 }));
  const backwards = vi.spyOn(engine, 'linearInputGradient');
  try {
    const { attentionGradients } = stepOf(model);
    expect(attentionGradients).toBe(3); // one for each rung, none for a block
    expect(backwards.mock.calls.map(([, weight]) => weight)).toEqual([
      model.weights.get('lm_head.weight'),
    ]);
  } finally {
    backwards.mockRestore();
    model.dispose();
  }
});

test('keeps nothing of the insides of a block', () => {
  const kept = [20, 200].map((intermediateSize) => {
    const model = opened(ladder({ reductionFactor: 3 }), intermediateSize);
    const { kept: bytes } = stepOf(model);
    model.dispose();
    return bytes;
  });
  expect(kept[1]).toBe(kept[0]);
});

test('keeps of a further block its state alone, where it has no rung beside it', () => {
  const kept = [3, 4, 5].map((layers) => {
    const model = opened(ladder({ reductionFactor: 3, blocks: [0, 1] }), 20, layers);
    const { kept: bytes } = stepOf(model);
    model.dispose();
    return bytes;
  });
  expect(kept[2]! - kept[1]!).toBe(kept[1]! - kept[0]!);
  expect(kept[1]! - kept[0]!).toBeLessThanOrEqual(7 * 12 * 4); // N·D numbers
});

test.each([
  ['decoder', 'ladder', ladder({ reductionFactor: 2 })],
  ['encoder-decoder', 'ladder', ladder({ reductionFactor: 2 })],
  ['decoder', 'controlnet', controlnet({ blocks: 2 })],
  ['encoder-decoder', 'controlnet', controlnet()],
] as const)(
  'goes on from a cache of the %s with %s as if it read everything again',
  (name, _, spec) => {
    const tiny = tinyModels().find((each) => each.name === name)!;
    const model = tiny.open(engine);
    moveParameters(model.addAdapter('a', spec), 2, 0.3);
    const isPair = name === 'encoder-decoder';
    const whole = [
      [5, 6, 7, 8],
      [9, 3, 4],
    ];
    const batchOf = (rows: readonly (readonly number[])[]): ModelBatch => {
      const tokens = {
        inputIds: Int32Array.from(rows.flat()),
        offsets: Int32Array.of(0, rows[0]!.length, rows[0]!.length + rows[1]!.length),
      };
      return isPair ? { ...BATCH, decoder: tokens } : tokens;
    };
    const cache = new KeyValueCache();
    const logits = (rows: readonly (readonly number[])[], from?: KeyValueCache): Float32Array =>
      tf.tidy(() => {
        const encoded = isPair && from?.lengths !== undefined ? encoder() : undefined;
        const output = model.forward({ ...batchOf(rows), encoded }, { cache: from });
        return (output.logits as Tensor2D).dataSync<'float32'>().slice();
      });
    const encoder = (): ModelBatch['encoded'] => {
      const { encoderHidden, encoderOffsets } = model.forward(batchOf(whole));
      return { hidden: encoderHidden!, offsets: encoderOffsets! };
    };
    try {
      const all = logits(whole);
      const width = all.length / 7;
      const rowsOf = (...rows: readonly number[]): Float32Array =>
        Float32Array.from(rows.flatMap((n) => [...all.subarray(n * width, (n + 1) * width)]));
      logits([whole[0]!.slice(0, 2), whole[1]!.slice(0, 2)], cache);
      const next = logits([whole[0]!.slice(2), whole[1]!.slice(2)], cache);
      expect(next).toBeAllclose(rowsOf(2, 3, 6), { atol: 2e-5, rtol: 2e-5 });
      if (isPair) return;
      cache.select(Int32Array.of(1, 1));
      const beams = logits([[2], [11]], cache);
      const fresh = logits([
        [9, 3, 4, 2],
        [9, 3, 4, 11],
      ]);
      expect(beams).toBeAllclose(
        Float32Array.from([
          ...fresh.subarray(3 * width, 4 * width),
          ...fresh.subarray(7 * width, 8 * width),
        ]),
        { atol: 2e-5, rtol: 2e-5 },
      );
    } finally {
      cache.dispose();
      model.dispose();
    }
  },
);

test('sequences that share their start see it once, as each would alone', () => {
  const model = opened(ladder({ reductionFactor: 3 }));
  const logits = (batch: ModelBatch): number[][] =>
    tf.tidy(() => model.forward(batch).logits!.arraySync());
  const shared = logits({
    inputIds: Int32Array.of(3, 1, 4, 7, 8),
    offsets: Int32Array.of(0, 4, 5),
    sharedLengths: Int32Array.of(0, 3),
  });
  const alone = logits({ inputIds: Int32Array.of(3, 1, 4, 8), offsets: Int32Array.of(0, 4) });
  expect(Float32Array.from(shared[4]!)).toBeAllclose(Float32Array.from(alone[3]!), {
    atol: 2e-5,
    rtol: 2e-5,
  });
  model.dispose();
});

test('a block that there is not is named', () => {
  expect(() => opened(ladder({ blocks: [0, 3] }))).toThrow(
    'ladder: blocks: model.layers has no block 3, it has 3.',
  );
});
