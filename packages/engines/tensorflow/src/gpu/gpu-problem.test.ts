import { describe, expect, test } from 'vitest';
import { hasFastBfloat16 } from '../device-description.js';
import { cudaProblem, gpuProblem } from './gpu-problem.js';
import { parseGpus, visibleGpus } from './gpu-probe.js';

const L4 = {
  name: 'NVIDIA L4',
  computeCapability: 8.9,
  totalBytes: 23034 * 2 ** 20,
  freeBytes: 22500 * 2 ** 20,
  driver: '550.54.15',
};
const probe = { gpus: [L4], cardOnBus: true, visible: undefined };

describe('the list of cards', () => {
  test("is read from nvidia-smi's lines", () => {
    expect(parseGpus('NVIDIA L4, 8.9, 23034, 22500, 550.54.15\n')).toEqual([L4]);
    expect(parseGpus('No devices were found\n')).toEqual([]);
  });

  test('is what CUDA_VISIBLE_DEVICES leaves of it, in its order', () => {
    const T4 = { ...L4, name: 'Tesla T4' };
    const seen = (visible: string | undefined) =>
      visibleGpus({ ...probe, gpus: [L4, T4], visible }).map(({ name }) => name);
    expect([undefined, '1', '1,0', '', '-1', '7', 'GPU-8a1'].map(seen)).toEqual([
      ['NVIDIA L4', 'Tesla T4'],
      ['Tesla T4'],
      ['Tesla T4', 'NVIDIA L4'],
      [],
      [],
      [],
      ['NVIDIA L4', 'Tesla T4'],
    ]);
  });
});

describe('a GPU that is not used', () => {
  test.each([
    [
      'there is none',
      { gpus: [], cardOnBus: false, visible: undefined },
      'cuda',
      'PEFT_GPU_MISSING',
    ],
    [
      'no driver runs it',
      { gpus: [], cardOnBus: true, visible: undefined },
      'cuda',
      'PEFT_GPU_DRIVER',
    ],
    [
      'its driver fails',
      {
        gpus: [],
        cardOnBus: true,
        visible: undefined,
        problem: 'Failed to initialize NVML: Driver/library version mismatch',
      },
      'cuda',
      'PEFT_GPU_DRIVER',
    ],
    ['it is hidden', { ...probe, visible: '' }, 'cuda', 'PEFT_GPU_HIDDEN'],
    ['the library is for CPUs', probe, 'cpu', 'PEFT_GPU_LIBRARY'],
    [
      'the driver is too old',
      { ...probe, gpus: [{ ...L4, driver: '470.82.01' }] },
      'cuda',
      'PEFT_GPU_CUDA',
    ],
    ['the CUDA libraries are missing', probe, 'cuda', 'PEFT_GPU_CUDA'],
  ] as const)('because %s: a code of its own and a way out', (_why, state, build, code) => {
    const problem = gpuProblem(state, build);
    expect(problem.code).toBe(code);
    expect(problem.hint).toBeTruthy();
  });

  test('names the card, its driver and what to type', () => {
    expect(gpuProblem({ ...probe, gpus: [{ ...L4, driver: '470.82.01' }] }, 'cuda').message)
      .toMatchInlineSnapshot(`
      "tensorflow: NVIDIA's driver 470.82.01 is older than CUDA 12, which TensorFlow was built for.
        hint: install driver 525 or newer"
    `);
    expect(gpuProblem(probe, 'cpu').message).toMatchInlineSnapshot(`
      "tensorflow: NVIDIA L4 is here, but the TensorFlow library is the one for CPUs.
        hint: run: peft setup tensorflow --device cuda"
    `);
  });
});

describe('a library for CUDA', () => {
  test('is fetched where a card can run it, whether or not it is hidden now', () => {
    expect(cudaProblem(probe)).toBeUndefined();
    expect(cudaProblem({ ...probe, visible: '-1' })).toBeUndefined();
    expect(cudaProblem({ ...probe, gpus: [{ ...L4, driver: '470.82.01' }] })?.code).toBe(
      'PEFT_GPU_CUDA',
    );
    expect(cudaProblem({ ...probe, gpus: [], cardOnBus: false })?.code).toBe('PEFT_GPU_MISSING');
    expect(
      cudaProblem({ ...probe, gpus: [], problem: 'Failed to initialize NVML' })?.message,
    ).toContain('nvidia-smi says: Failed to initialize NVML');
  });
});

describe('bfloat16', () => {
  test('is the default where the device has instructions for it', () => {
    expect(hasFastBfloat16({ kind: 'gpu', gpu: L4 })).toBe(true);
    expect(hasFastBfloat16({ kind: 'gpu', gpu: { ...L4, computeCapability: 7.5 } })).toBe(false);
    expect(hasFastBfloat16({ kind: 'gpu' })).toBe(false);
    expect(hasFastBfloat16({ kind: 'cpu' }, () => 'avx2 avx512f avx512_bf16')).toBe(true);
    expect(hasFastBfloat16({ kind: 'cpu' }, () => 'avx2 avx512f')).toBe(false);
  });
});
