import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { DeviceFailure } from '../src/gpu/device-failure.js';
import { createWebgpuEngine, listAdapters } from '../src/index.js';
import { describeOnWebgpu } from './with-driver.js';

describeOnWebgpu('the WebGPU engine, where something cannot be had,', (engine) => {
  test('refuses a tensor that no buffer of the device can hold', () => {
    const { maxBindingBytes } = engine().adapter.limits;
    expect(() => tf.fill([maxBindingBytes / 4 + 1], 1)).toThrow(
      expect.objectContaining({ code: 'PEFT_DEVICE_MEMORY' }),
    );
  });

  test('names an operation of tfjs that it has no kernel for', () => {
    expect(() => tf.asinh(tf.ones([20]))).toThrow(/Asinh.*peft-webgpu/);
  });

  test('refuses texts and complex numbers as tensors', () => {
    expect(() => tf.tensor(['a'])).toThrow(expect.objectContaining({ code: 'PEFT_WEBGPU_DTYPE' }));
  });

  test('refuses an option that it does not know', async () => {
    await expect(createWebgpuEngine({ adaptr: 1 } as object)).rejects.toThrow('adaptr');
  });

  test('refuses another WebGPU than the one that it has opened', async () => {
    const gpu = { requestAdapter: () => Promise.resolve(null) } as unknown as GPU;
    await expect(createWebgpuEngine({ gpu })).rejects.toMatchObject({
      code: 'PEFT_CONFIG_INVALID',
    });
  });

  test('lists adapters with features and limits', async () => {
    const adapters = await listAdapters();
    expect(adapters).toContainEqual(engine().adapter);
    expect(adapters[0]!.limits.maxBindingBytes).toBeGreaterThanOrEqual(2 ** 27);
  });
});

describe('what a device reports', () => {
  class GPUOutOfMemoryError extends Error {}
  class GPUValidationError extends Error {}

  /** Stands in for a device: no driver can be asked to fail. */
  function failing() {
    let lose!: (info: { reason: string; message: string }) => void;
    const device = Object.assign(new EventTarget(), {
      lost: new Promise((resolve) => (lose = resolve)),
    });
    const failure = new DeviceFailure(device as unknown as GPUDevice);
    const report = (error: Error) =>
      device.dispatchEvent(Object.assign(new Event('uncapturederror'), { error }));
    return { failure, report, lose };
  }

  test('is thrown under a name by whoever computes or reads next', () => {
    const { failure, report } = failing();
    expect(() => failure.check()).not.toThrow();
    report(new GPUOutOfMemoryError('no 5 GB\nmore'));
    expect(() => failure.check()).toThrow('webgpu: the device is out of memory: no 5 GB');
    expect(() => failure.check()).not.toThrow(); // the next batch may be smaller
    report(new GPUValidationError('binding 3'));
    for (let n = 0; n < 2; n += 1)
      expect(() => failure.check()).toThrow(
        expect.objectContaining({ code: 'PEFT_WEBGPU_VALIDATION' }),
      );
  });

  test('a lost device stays lost, and one that was given up is none', async () => {
    const { failure, lose } = failing();
    lose({ reason: 'unknown', message: 'driver reset' });
    await Promise.resolve();
    await Promise.resolve();
    expect(failure.isLost).toBe(true);
    expect(() => failure.check()).toThrow('webgpu: the device is lost: driver reset');
    const other = failing();
    other.lose({ reason: 'destroyed', message: '' });
    await Promise.resolve();
    await Promise.resolve();
    expect(() => other.failure.check()).not.toThrow();
  });
});
