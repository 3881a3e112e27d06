/** Texts from an engine of which nothing can be read at once. */
import * as tf from '@tensorflow/tfjs';
import type { Model } from '@peft/core';
import { createPortableEngine } from '@peft/portable';
import { actAsDevice } from '@peft/testing';
import type { Engine } from '@peft/ops';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ContinuousBatch, generate, type GenerationOptions } from '../src/index.js';
import { openFixture } from './fixture-models.js';

const PROMPTS = [[5, 9, 40, 7], [11], [3, 8, 120, 66, 21, 9, 14]];

let engine: Engine;
beforeAll(async () => {
  engine = await createPortableEngine({ backend: 'wasm' });
  await engine.activate();
});
afterAll(() => engine.dispose());

/** What a model writes in host memory and as on a device, and how often the device was read. */
async function both<T>(
  name: string,
  write: (model: Model) => Promise<T>,
): Promise<{ readonly onHost: T; readonly onDevice: T; readonly reads: number }> {
  const tensors = tf.memory().numTensors;
  const model = openFixture(name, engine);
  const onHost = await write(model);
  const device = actAsDevice(engine);
  try {
    const onDevice = await write(model);
    return { onHost, onDevice, reads: device.reads };
  } finally {
    device.restore();
    model.dispose();
    expect(tf.memory().numTensors, 'tensors left behind').toBe(tensors);
  }
}

describe('on an engine whose memory is that of a device', () => {
  const written = (options: GenerationOptions) => async (model: Model) =>
    (await generate(model, PROMPTS, options)).map(({ ids }) => [...ids]);

  test.each(['llama', 'flan-t5', 'mixtral'])(
    '%s writes what it writes in host memory, and is read once for each token of all texts',
    async (name) => {
      const { onHost, onDevice, reads } = await both(name, written({ maxNewTokens: 5 }));
      expect(onDevice).toEqual(onHost);
      expect(reads).toBe(Math.max(...onHost.map(({ length }) => length)));
    },
  );

  test('beams are searched', async () => {
    const { onHost, onDevice } = await both('llama', written({ maxNewTokens: 4, beams: 3 }));
    expect(onDevice).toEqual(onHost);
  });

  test('texts that come and go go on together', async () => {
    const { onHost, onDevice } = await both('llama', async (model) => {
      const batch = new ContinuousBatch(model, { prefillTokens: 4 });
      const made = await Promise.all(
        PROMPTS.map((promptIds, i) => batch.submit({ promptIds, maxNewTokens: 3 + i })),
      );
      batch.dispose();
      return made.map(({ ids }) => [...ids]);
    });
    expect(onDevice).toEqual(onHost);
  });
});
