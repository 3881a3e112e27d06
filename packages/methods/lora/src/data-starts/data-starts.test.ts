import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  describeModel,
  loadAdapter,
  loadModel,
  randomWeights,
  saveAdapter,
  startedSpec,
  type Model,
  type StartData,
} from '@peft/core';
import { bert } from '@peft/models';
import type { Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { lora } from '../lora.js';
import { DATA_STARTS } from './data-start-options.js';

const CONFIG = {
  model_type: 'bert',
  vocab_size: 60,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 24,
};
const HEAD = { kind: 'sequence-classification', outputs: 3 } as const;
const BATCH = {
  inputIds: Int32Array.from({ length: 21 }, (_, n) => (n * 17 + 5) % 60),
  offsets: Int32Array.from([0, 9, 21]),
};
const OPTIONS = { rank: 2, alpha: 3, targets: ['query', 'output.dense'], dropout: 0.25 };

describe('LoRA started from data', () => {
  let engine: Engine;
  let model: Model;
  let folder: string;
  let before: number;

  beforeAll(async () => {
    engine = await createPortableEngine();
    await engine.activate();
  });
  afterAll(() => engine.dispose());
  beforeEach(() => {
    before = tf.memory().numTensors;
    folder = mkdtempSync(join(tmpdir(), 'lora-start-'));
    const weights = randomWeights(describeModel(bert, bert.parseConfig(CONFIG), HEAD), { seed: 4 });
    model = loadModel(bert, CONFIG, weights, engine, { head: HEAD });
  });
  afterEach(() => {
    model.dispose();
    rmSync(folder, { recursive: true, force: true });
    expect(tf.memory().numTensors).toBe(before);
  });

  const logits = () => tf.tidy(() => Array.from(model.forward(BATCH).logits!.dataSync()));
  const data: StartData = {
    async *batches(count) {
      for (let i = 0; i < Math.min(count, 3); i += 1)
        yield { ...BATCH, inputIds: BATCH.inputIds.map((id) => (id + 7 * i) % 60) };
    },
    loss: (batch) =>
      tf.losses.softmaxCrossEntropy(tf.oneHot([0, 2], 3), model.forward(batch).logits!).asScalar(),
  };

  it.each(DATA_STARTS)(
    '%s begins at the base and is read again as it was written',
    async (init) => {
      const base = logits();
      model.addAdapter('mine', await startedSpec(model, lora({ ...OPTIONS, init }), data));
      logits().forEach((value, i) => expect(value).toBeCloseTo(base[i]!, 4));
      for (const { name, value, trainable } of model.adapter('mine').parameters.values())
        if (trainable)
          tf.tidy(() => value.assign(tf.add(value, name.endsWith('B.weight') ? 0.1 : 0.05)));
      const trained = logits();
      await saveAdapter(model, 'mine', folder);
      model.mergeAdapters('mine');
      logits().forEach((value, i) => expect(value).toBeCloseTo(trained[i]!, 4));
      model.unmergeAdapters();
      model.deleteAdapter('mine');
      expect(logits()).toEqual(base); // the base was never touched
      await loadAdapter(model, folder, { methods: [lora] });
      logits().forEach((value, i) => expect(value).toBeCloseTo(trained[i]!, 4));
      const config = JSON.parse(
        readFileSync(join(folder, 'adapter_config.json'), 'utf8'),
      ) as object;
      expect(config).toMatchObject(
        init === 'eva'
          ? { r: 2, init_lora_weights: 'eva', eva_config: { rho: 2, tau: 0.99 } }
          : { r: 4, lora_alpha: 6, init_lora_weights: true },
      );
    },
  );

  it('moves ranks to the layers whose inputs fewer directions explain, and keeps their sum', async () => {
    const spec = await startedSpec(model, lora({ ...OPTIONS, init: 'eva' }), data);
    const adapter = model.addAdapter('mine', spec);
    const ranks = [...adapter.parameters.values()]
      .filter(({ name }) => name.endsWith('lora_A.weight'))
      .map(({ shape }) => shape[0]!);
    expect(ranks.reduce((sum, rank) => sum + rank, 0)).toBe(12); // six layers of rank 2
    expect(new Set(ranks).size).toBeGreaterThan(1);
  });

  it('says what is missing, and what it does not go with', async () => {
    const spec = lora({ ...OPTIONS, init: 'corda' });
    expect(() => model.addAdapter('mine', spec)).toThrow(
      "lora: init 'corda' starts from training batches, and none were given.",
    );
    const none: StartData = { ...data, async *batches() {} };
    await expect(startedSpec(model, spec, none)).rejects.toThrow(
      "lora: init 'corda' found no layer that a batch went through.",
    );
    expect(() => lora({ init: 'lora_ga', dora: true })).toThrow(
      "lora: init 'lora_ga' starts plain LoRA on modules, got dora, too.",
    );
    expect(() => lora({ init: 'pissa', dataStart: { rho: 1 } })).toThrow(
      'lora: dataStart is for init eva, corda, lora_ga, got init "pissa".',
    );
    expect(() => lora({ init: 'eva', dataStart: { mode: 'kpm' } })).toThrow('mode');
    const wide = lora({ ...OPTIONS, rank: 9, init: 'lora_ga' });
    await expect(startedSpec(model, wide, data)).rejects.toThrow(
      'takes 2r = 18 directions of bert.encoder.layer.0.attention.self.query, which has 16.',
    );
    expect(model.adapterNames).toEqual([]);
  });
});
