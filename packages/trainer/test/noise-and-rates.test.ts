/** NEFTune's noise and LoRA+'s rates, in a step of a run. */
import * as tf from '@tensorflow/tfjs';
import { lora } from '@peft/lora';
import { constantSchedule, sgd } from '@peft/optim';
import { describe, expect, it } from 'vitest';
import { isLoraUp, loraPlus, predict, train, classification } from '../src/index.js';
import { adapterBytes, tinyData, tinyModel, tinyRun, type TinyRun } from './tiny-run.js';

const method = lora({ rank: 2, targets: { roles: ['attention.query', 'attention.value'] } });
const plain = () => ({ learningRateScale: 1, weightDecay: 0 });

async function afterSteps(
  steps: number,
  changes: Partial<TinyRun['request']> = {},
): Promise<{ values: Map<string, Float32Array>; bytes: Record<string, string> }> {
  const model = await tinyModel('bert', method);
  const { request } = tinyRun(model, {
    optimizer: sgd(),
    schedule: constantSchedule({ learningRate: 0.1 }),
    group: plain,
    ...changes,
    options: { epochs: 1, maxSteps: steps, dropout: false, ...changes.options },
  });
  await train(request);
  const values = new Map(
    [...model.adapter('default').parameters.values()].map(({ name, value }) => [
      name,
      value.dataSync<'float32'>().slice(),
    ]),
  );
  const bytes = adapterBytes(model);
  model.dispose();
  return { values, bytes };
}

describe('LoRA+', () => {
  it('moves B, which begins at 0, that many times as far in a step of SGD, and nothing else', async () => {
    const [once, eight] = [await afterSteps(1), await afterSteps(1, { group: loraPlus(plain, 8) })];
    const ups = [...once.values.keys()].filter((name) => name.endsWith('.lora_B.weight'));
    expect(ups).toHaveLength(4);
    for (const [name, values] of once.values) {
      const factor = ups.includes(name) ? 8 : 1;
      if (factor === 8) expect(values.some((value) => value !== 0)).toBe(true);
      eight.values.get(name)!.forEach((value, i) => {
        const exact = values[i]! * factor;
        expect(Math.abs(value - exact)).toBeLessThanOrEqual(1e-6 * Math.abs(exact) + 1e-12);
      });
    }
  });

  it("knows B by its site's own name", () => {
    const site = { path: 'a.query' } as Parameters<typeof isLoraUp>[0]['site'];
    expect(isLoraUp({ name: 'a.query.lora_B.weight', site })).toBe(true);
    expect(isLoraUp({ name: 'a.query.lora_A.weight', site })).toBe(false);
    expect(isLoraUp({ name: 'my_lora_B.weight', site: undefined })).toBe(false);
    expect(() => loraPlus(plain, 0)).toThrow(
      expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' }),
    );
  });
});

describe('NEFTune', () => {
  it('adds noise within its bound to the embeddings of a run that asks for it, by its key', async () => {
    const model = await tinyModel('bert', method);
    const batch = await tinyData().pack(Int32Array.of(0, 1));
    // BERT's embeddings end in a norm: the noise is looked for in front of it, in the hidden states
    const states = (options: object): Float32Array =>
      tf.tidy(() => model.forward(batch, options).hidden.dataSync<'float32'>().slice());
    const still = states({});
    expect(states({ training: true })).not.toEqual(states({ embeddingNoise: 5 }));
    expect(states({ embeddingNoise: 5 })).not.toEqual(still);
    expect(states({ embeddingNoise: 5 })).toEqual(states({ embeddingNoise: 5 }));
    expect(states({ embeddingNoise: 5, randomParts: [1] })).not.toEqual(
      states({ embeddingNoise: 5, randomParts: [2] }),
    );
    const { predictions } = await predict(model, classification({ classes: 2 }), tinyData());
    const again = await predict(model, classification({ classes: 2 }), tinyData());
    expect(again.predictions).toEqual(predictions);
    model.dispose();
  });

  it('changes training, and the same seed gives the same bytes', async () => {
    const noisy = () => afterSteps(3, { options: { embeddingNoise: 5 } });
    const [one, two, none] = [await noisy(), await noisy(), await afterSteps(3)];
    expect(one.bytes).toEqual(two.bytes);
    expect(one.bytes).not.toEqual(none.bytes);
  });
});
