import { PeftError } from '@peft/errors';
import type { Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { chooseEngine, type EngineMakers } from './engine-choice.js';

const portable = () => createPortableEngine({ backend: 'cpu' });
const noAddon = () =>
  Promise.reject(
    new PeftError('PEFT_NATIVE_UNAVAILABLE', 'native: the addon is not built.', {
      hint: 'build it',
    }),
  );

describe('the choice of the engine', () => {
  it('is the engine asked for, and activates it', async () => {
    const { engine, warning } = await chooseEngine({ name: 'portable' }, { portable });
    expect(engine.name).toBe('portable');
    expect(tf.getBackend()).toBe(engine.backendName);
    expect(warning).toBeUndefined();
    engine.dispose();
  });

  it('falls back from native to portable with one warning that says why', async () => {
    const { engine, warning } = await chooseEngine({}, { native: noAddon, portable });
    expect(engine.name).toBe('portable');
    expect(warning).toEqual({
      code: 'PEFT_ENGINE_FALLBACK',
      message:
        'the portable engine (float32) takes over, which is slower: native: the addon is not built.',
      hint: expect.stringContaining('build-native') as string,
    });
    engine.dispose();
  });

  it('does not fall back where the engine was asked for by name', async () => {
    await expect(
      chooseEngine({ name: 'native' }, { native: noAddon, portable }),
    ).rejects.toMatchObject({
      code: 'PEFT_ENGINE_UNAVAILABLE',
      message: expect.stringContaining('the addon is not built') as string,
    });
    await expect(chooseEngine({ name: 'tensorflow' }, { portable })).rejects.toMatchObject({
      code: 'PEFT_ENGINE_UNAVAILABLE',
      message: expect.stringContaining('has portable') as string,
    });
    await expect(chooseEngine({ name: 'nativ' as never })).rejects.toMatchObject({
      code: 'PEFT_ENGINE_UNKNOWN',
      message: expect.stringContaining('"native"') as string,
    });
  });

  it('does not hide a bad option behind a fallback', async () => {
    const native: EngineMakers['native'] = () =>
      Promise.reject(
        new PeftError('PEFT_CONFIG_INVALID', 'native: threads must be a positive integer, got -1.'),
      );
    await expect(chooseEngine({ threads: -1 }, { native, portable })).rejects.toMatchObject({
      code: 'PEFT_CONFIG_INVALID',
    });
  });

  it('is tensorflow where a GPU works with it, and says why', async () => {
    const asked: (boolean | undefined)[] = [];
    const tensorflow: EngineMakers['tensorflow'] = (_request, needsGpu) => {
      asked.push(needsGpu);
      return portable(); // stands in for it: no GPU is needed to test the choice
    };
    const { engine, reason, warning } = await chooseEngine(
      {},
      { tensorflow, native: noAddon, portable },
      () => Promise.resolve({ card: 'NVIDIA L4', hasLibrary: true }),
    );
    expect({ asked, reason, warning }).toEqual({
      asked: [true],
      reason: 'NVIDIA L4 works with it',
      warning: undefined,
    });
    engine.dispose();
  });

  it('is native where a GPU cannot be used, with a warning that names the card and the reason', async () => {
    const tensorflow: EngineMakers['tensorflow'] = () =>
      Promise.reject(
        new PeftError('PEFT_GPU_CUDA', "tensorflow: NVIDIA's driver 470.1 is older than CUDA 12."),
      );
    const { engine, warning } = await chooseEngine(
      {},
      { tensorflow, native: portable, portable },
      () => Promise.resolve({ card: 'NVIDIA L4', hasLibrary: true }),
    );
    expect(warning).toMatchObject({
      code: 'PEFT_ENGINE_GPU_UNUSED',
      message: "NVIDIA L4 is not used: tensorflow: NVIDIA's driver 470.1 is older than CUDA 12.",
    });
    engine.dispose();
    const without = await chooseEngine({}, { tensorflow, native: portable }, () =>
      Promise.resolve({ card: 'NVIDIA L4', hasLibrary: false }),
    );
    expect(without.warning?.message).toBe(
      'NVIDIA L4 is not used: no TensorFlow library with CUDA is set up',
    );
    without.engine.dispose();
  });

  it('is webgpu where it finds a card and TensorFlow does not use one, and native where it finds none', async () => {
    const asked: (boolean | undefined)[] = [];
    const webgpu: EngineMakers['webgpu'] = (_request, needsGpu) => {
      asked.push(needsGpu);
      return portable(); // stands in for it
    };
    const noGpu = () => Promise.resolve(undefined);
    const found = await chooseEngine({}, { webgpu, native: noAddon }, noGpu, () => true);
    expect({ asked, reason: found.reason, warning: found.warning }).toEqual({
      asked: [true],
      reason: 'a graphics card works with WebGPU',
      warning: undefined,
    });
    found.engine.dispose();
    const inSoftware: EngineMakers['webgpu'] = () =>
      Promise.reject(
        new PeftError('PEFT_WEBGPU_NO_ADAPTER', 'webgpu: SwiftShader computes on the processor.'),
      );
    for (const [maker, asks] of [
      [inSoftware, true],
      [webgpu, false],
    ] as const) {
      const { engine, reason } = await chooseEngine(
        {},
        { webgpu: maker, native: portable },
        noGpu,
        () => asks,
      );
      expect(reason).toBe('no GPU is here, and this is the fastest engine on a CPU');
      engine.dispose();
    }
  });

  it("is a third party's where it is asked for", async () => {
    const { engine } = await chooseEngine({ name: 'mine' as never }, { portable, mine: portable });
    expect(engine.name).toBe('portable');
    engine.dispose();
  });

  it('says when a precision cannot be had', async () => {
    const { engine, warning } = await chooseEngine(
      { name: 'portable', precision: 'bfloat16' },
      { portable },
    );
    expect(warning?.code).toBe('PEFT_ENGINE_PRECISION');
    engine.dispose();
  });

  it('disposes an engine that cannot be activated', async () => {
    let isDisposed = false;
    const broken = {
      name: 'portable',
      activate: () => Promise.reject(new Error('no backend')),
      dispose: () => (isDisposed = true),
    } as unknown as Engine;
    await expect(
      chooseEngine({ name: 'portable' }, { portable: () => Promise.resolve(broken) }),
    ).rejects.toMatchObject({ code: 'PEFT_ENGINE_UNAVAILABLE' });
    expect(isDisposed).toBe(true);
  });
});
