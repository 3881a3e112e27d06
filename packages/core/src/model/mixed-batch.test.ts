import * as tf from '@tensorflow/tfjs';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { architectures } from '@peft/models';
import { type Engine } from '@peft/ops';
import { seededTensor, toBeAllclose } from '@peft/testing';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openEngine } from '../../../../tools/golden/engines.js';
import { architectureFor } from './architecture.js';
import { describeModel } from './form/describe-model.js';
import { loadModel } from './load-model.js';
import { BASE_ADAPTER } from './mixed-batch.js';
import type { Model } from './model.js';
import { randomWeights } from './weights/random-weights.js';

const FAMILIES = [
  {
    config: {
      model_type: 'llama',
      vocab_size: 40,
      hidden_size: 32,
      intermediate_size: 48,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      max_position_embeddings: 64,
      rms_norm_eps: 1e-5,
      tie_word_embeddings: true,
    },
    scaled: { targets: ['k_proj', 'down_proj'], feedforwardModules: ['down_proj'] },
    /** In each of two blocks: q, k, v, o, gate, up, down; and the output layer. */
    linears: 2 * 7 + 1,
    scaledInputs: 2,
  },
  {
    config: {
      model_type: 'gpt2',
      vocab_size: 40,
      n_embd: 32,
      n_layer: 2,
      n_head: 4,
      n_positions: 64,
      activation_function: 'gelu_new',
    },
    scaled: { targets: ['c_attn', 'mlp.c_proj'], feedforwardModules: ['mlp.c_proj'] },
    /** c_attn, two c_proj and c_fc. */
    linears: 2 * 4 + 1,
    scaledInputs: 2,
  },
];
const OFFSETS = Int32Array.of(0, 3, 4, 9, 11, 12);
const ASSIGNMENT = ['some', BASE_ADAPTER, 'more', 'scaled', 'some'];

expect.extend({ toBeAllclose });

let reason: string | undefined;
await openEngine('native').then(
  (engine) => engine.dispose(),
  (error: Error) => (reason = error.message.split('\n')[0]),
);

describe.each(['portable', 'native'])('a batch of several adapters on %s', (name) => {
  const isMissing = name === 'native' && reason !== undefined;
  let engine: Engine;
  beforeAll(async () => {
    if (!isMissing) engine = await openEngine(name);
  });
  afterAll(() => engine?.dispose());

  describe.skipIf(isMissing)(isMissing ? `(skipped: ${reason})` : 'runs', () => {
    test.each(FAMILIES)(
      'with one product of each base weight, and what each adapter gives alone: $config.model_type',
      ({ config, scaled, linears, scaledInputs }) => {
        const model = openRandom(config, engine);
        for (const [index, id] of ['some', 'more'].entries()) {
          model.addAdapter(id, lora({ rank: 2 + index, targets: 'all-linear' }));
          randomize(model, index);
        }
        model.addAdapter('scaled', ia3(scaled));
        randomize(model, 2);

        let mixed!: Float32Array;
        const products = productsIn(engine, () => (mixed = logitsOf(model, OFFSETS, ASSIGNMENT)));
        // what IA3 makes of its inputs is a product of its own
        expect(products).toBe(linears + scaledInputs);

        const width = model.description.vocabularySize;
        ASSIGNMENT.forEach((id, b) => {
          model.setActiveAdapters(...(id === BASE_ADAPTER ? [] : [id]));
          const [from, to] = [OFFSETS[b]!, OFFSETS[b + 1]!];
          const alone = logitsOf(model, Int32Array.of(0, to - from), undefined, from);
          const own = mixed.subarray(from * width, to * width);
          // on the native engine a row's bits depend on no other row
          if (name === 'native') expect(own, id).toEqual(alone);
          else expect(own, id).toBeAllclose(alone, { atol: 1e-5 });
        });
        model.dispose();
      },
    );

    test.skipIf(name === 'portable')('with the products of all LoRA adapters in one kernel', () => {
      const { config, linears } = FAMILIES[0]!;
      const model = openRandom(config, engine);
      for (const [seed, id] of ['some', 'more'].entries()) {
        model.addAdapter(id, lora({ rank: 2 + seed, targets: 'all-linear' }));
        randomize(model, seed);
      }
      const assignment = ['some', BASE_ADAPTER, 'more', 'more', 'some'];
      const kernels = kernelsOf(() => logitsOf(model, OFFSETS, assignment));
      expect(kernels.filter((kernel) => kernel === 'PeftAddThinProducts')).toHaveLength(
        linears - 1, // all but the output layer
      );
      expect(kernels).not.toContain('BatchMatMul');
      expect(kernels).not.toContain('Concat');
      model.dispose();
    });
  });
});

function openRandom(config: (typeof FAMILIES)[number]['config'], engine: Engine): Model {
  const architecture = architectureFor(config.model_type, architectures);
  const head = { kind: 'causal-lm' } as const;
  const description = describeModel(architecture, architecture.parseConfig(config), head);
  const weights = randomWeights(description, { standardDeviation: 0.3 });
  return loadModel(architecture, config, weights, engine, { head });
}

/** Names of the tfjs kernels that `run` calls. */
function kernelsOf(run: () => void): readonly string[] {
  const names: string[] = [];
  const called = vi.spyOn(tf.engine(), 'runKernel');
  try {
    run();
    names.push(...called.mock.calls.map(([name]) => name));
  } finally {
    called.mockRestore();
  }
  return names;
}

function randomize(model: Model, seed: number): void {
  for (const { name, value } of model.trainables())
    tf.tidy(() => value.assign(seededTensor(`${seed} ${name}`, value.shape, 0.5)));
}

function logitsOf(
  model: Model,
  offsets: Int32Array,
  assignment?: readonly string[],
  first = 0,
): Float32Array {
  const inputIds = Int32Array.from({ length: offsets.at(-1)! }, (_, n) => ((first + n) * 7) % 40);
  return tf.tidy(() =>
    model.forward({ inputIds, offsets }, { assignment }).logits!.dataSync<'float32'>().slice(),
  );
}

/** How often `run` multiplies by a base weight. */
function productsIn(engine: Engine, run: () => void): number {
  const calls = [vi.spyOn(engine, 'linear')];
  for (const name of ['linearActivated', 'linearAdded'] as const)
    if (engine[name]) calls.push(vi.spyOn(engine, name) as never);
  run();
  return calls.reduce((sum, spy) => {
    const { length } = spy.mock.calls;
    spy.mockRestore();
    return sum + length;
  }, 0);
}
