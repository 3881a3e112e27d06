/** What sampling says of a token's probability, token by token, against what training makes of it at once. */
import * as tf from '@tensorflow/tfjs';
import {
  architectureFor,
  describeModel,
  loadModel,
  randomWeights,
  type Model,
  type RunOptions,
} from '@peft/core';
import { lora } from '@peft/lora';
import { architectures } from '@peft/models';
import { createPortableEngine } from '@peft/portable';
import type { Engine } from '@peft/ops';
import { moveParameters } from '@peft/testing';
import { causalTargets, forwardTask, prepareTask, tokenLosses } from '@peft/trainer';
import { expect, it } from 'vitest';
import { groupPolicy, type PolicyBatch } from '../src/index.js';

const LLAMA = {
  model_type: 'llama',
  vocab_size: 96,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 512,
};
const MISTRAL = { ...LLAMA, model_type: 'mistral', sliding_window: 5 };

const PROMPTS = [
  [5, 9, 40, 7, 11, 3],
  [8, 66],
  [21, 9, 14, 33, 2, 7, 60, 61, 62, 12, 90],
];
const PACKED = {
  inputIds: Int32Array.from(PROMPTS.flat()),
  offsets: Int32Array.of(0, 6, 8, 19),
  rows: Int32Array.of(0, 1, 2),
  sources: PROMPTS.map(() => ({ prompt: '', cells: {} })),
};

const engines: Readonly<Record<string, () => Promise<Engine>>> = {
  portable: createPortableEngine,
  'native in float32': async () =>
    (await import('@peft/native')).createNativeEngine({ precision: 'float32' }),
  native: async () => (await import('@peft/native')).createNativeEngine(),
};

async function engineNamed(name: string): Promise<Engine | undefined> {
  try {
    return await engines[name]!();
  } catch (error) {
    if ((error as { code?: string }).code === 'PEFT_NATIVE_UNAVAILABLE') return undefined;
    throw error;
  }
}

function open(engine: Engine, config: typeof LLAMA): Model {
  const architecture = architectureFor(config.model_type, architectures);
  const head = { kind: 'causal-lm' } as const;
  const description = describeModel(architecture, architecture.parseConfig(config), head);
  const model = loadModel(
    architecture,
    config,
    randomWeights(description, { standardDeviation: 0.2 }),
    engine,
    { head, quantization: { format: 'nf4', blockSize: 64, doubleQuantization: true } },
  );
  moveParameters(
    model.addAdapter('default', lora({ rank: 4, targets: 'all-linear' })),
    'sampled',
    0.1,
  );
  return model;
}

it.each(
  Object.keys(engines).flatMap((name) => [LLAMA, MISTRAL].map((config) => [name, config] as const)),
)('on a base in NF4 they are the same: %s, $model_type', async (name, config) => {
  const engine = await engineNamed(name);
  // where the addon was not built
  if (!engine) return expect(name).toContain('native');
  await engine.activate();
  const model = open(engine, config);
  const task = groupPolicy({
    rewards: [{ name: 'first', score: ({ completionIds }) => completionIds[0]! }],
    tokenizer: { decode: () => '' } as never,
    endIds: [1],
    groupSize: 4,
    maxNewTokens: 9,
    updates: 2, // which asks for the probabilities of what was drawn
  });
  const [batch] = (await prepareTask(task, model, [PACKED])) as unknown as [PolicyBatch];
  const told = batch.old!;
  expect(told.length).toBeGreaterThan(40);
  for (const options of [{}, { checkpointing: true }] satisfies RunOptions[]) {
    const made = tf.tidy(() => {
      const output = model.forward(batch, { ...options, logitRows: 'none' });
      const { losses, places } = tokenLosses('test', output, causalTargets(output, batch));
      const values = losses.dataSync<'float32'>();
      return Float32Array.from(places, (place) => -values[place]!);
    });
    // the logits are the same; ln Σ exp is rounded to float32
    made.forEach((value, i) =>
      expect(Math.abs(value - told[i]!)).toBeLessThan(5e-7 * Math.max(1, Math.abs(value))),
    );
  }
  // so that nothing is clipped, and ρ is 1, in the first step that learns from it
  const clipped: number[] = [];
  const measured: Promise<void>[] = [];
  tf.tidy(() => {
    task.loss(forwardTask(task, model, batch as never, {}), batch as never, (measures) =>
      measured.push(
        Promise.resolve(measures).then(({ clip_ratio: ratio }) => {
          if (ratio) clipped.push(ratio.sum);
        }),
      ),
    );
  });
  await Promise.all(measured);
  expect(clipped).toEqual([0]);
  model.dispose();
  engine.dispose();
});
