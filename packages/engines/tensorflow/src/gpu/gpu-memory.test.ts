import { describe, expect, test } from 'vitest';
import { gpuMemory, visibleGpuMemory } from './gpu-memory.js';
import { parseGpus } from './gpu-probe.js';

const L4 = {
  name: 'NVIDIA L4',
  computeCapability: 8.9,
  totalBytes: 24e9,
  freeBytes: 20e9,
  driver: '550.54.15',
};
const probe = { gpus: [L4, { ...L4, name: 'Tesla T4' }], cardOnBus: true, visible: undefined };

describe('the memory of a card', () => {
  test('is nine tenths of what nvidia-smi says is free', () =>
    expect(gpuMemory(L4)).toEqual({ name: 'NVIDIA L4', totalBytes: 24e9, usableBytes: 18e9 }));

  test('is that of the first card that is visible, and none where the library is for CPUs', () => {
    expect(visibleGpuMemory(probe, 'cuda')?.name).toBe('NVIDIA L4');
    expect(visibleGpuMemory({ ...probe, visible: '1' }, undefined)?.name).toBe('Tesla T4');
    expect(visibleGpuMemory({ ...probe, visible: '' }, 'cuda')).toBeUndefined();
    expect(visibleGpuMemory(probe, 'cpu')).toBeUndefined();
    expect(
      visibleGpuMemory(
        { ...probe, gpus: parseGpus('NVIDIA GB10, 12.1, [N/A], [N/A], 580.95.05\n') },
        'cuda',
      ),
    ).toBeUndefined(); // shares the machine's memory
  });
});
