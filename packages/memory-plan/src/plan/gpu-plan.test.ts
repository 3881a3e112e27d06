import { lora } from '@peft/lora';
import { nativeSizing } from '@peft/native';
import { weightBytes } from '@peft/ops';
import { tensorflowSizing, type TensorflowSizingOptions } from '@peft/tensorflow';
import { describe, expect, test } from 'vitest';
import { familyOf, LLAMA, machine, NF4 } from '../../test/small-llama.js';
import {
  chooseSettings,
  formatPlan,
  planMemory,
  requireFit,
  suggestSettings,
  type PlanRequest,
} from '../index.js';

describe('a plan for a GPU', () => {
  const gpu = { name: 'NVIDIA L4', totalBytes: 24e9, usableBytes: 20e9 };
  const request: PlanRequest = {
    architecture: familyOf(LLAMA),
    config: { ...LLAMA, torch_dtype: 'bfloat16' },
    head: { kind: 'causal-lm' },
    method: lora({ rank: 64, targets: 'all-linear' }),
    batch: { sequences: 8, length: 128 },
    engine: tensorflowSizing({ precision: 'bfloat16', isOnCard: true }),
    machine: machine(16e9),
    gpu,
  };

  test('has the model on the card, and in the process the state and the copies that TensorFlow keeps', () => {
    const plan = planMemory({ ...request, gpu: { ...gpu, runtimeBytes: 0 }, runtimeBytes: 0 });
    expect(plan.gpu!.peakBytes).toBe(
      plan.weightBytes + plan.adapterBytes + plan.gradientBytes + plan.activationBytes,
    );
    const embedding = 2 * 400 * 128; // the largest tensor, as it is stored
    expect(plan.peakBytes).toBe(
      Math.max(plan.optimizerStateBytes + plan.adapterBytes + plan.updateBytes, 2 * embedding),
    );
    const quantised = planMemory({
      ...request,
      quantization: NF4,
      gpu: { ...gpu, runtimeBytes: 0 },
      runtimeBytes: 0,
    });
    expect(quantised.gpu!.hostCopyBytes).toBe(
      quantised.adapterBytes +
        4 *
          (2 * weightBytes(128, 128, NF4) +
            2 * weightBytes(64, 128, NF4) +
            3 * weightBytes(256, 128, NF4)),
    );
  });

  test('has the optimiser state where it is kept, and its pages in the other memory', () => {
    const [host, device] = [
      planMemory(request),
      planMemory({ ...request, optimizerStateOn: 'device', residentStateBytes: 100_000 }),
    ];
    expect(host.gpu!.optimizerStateBytes).toBe(0);
    expect(device.gpu!.optimizerStateBytes).toBe(100_000);
    expect(device.pagedStateBytes).toBe(host.optimizerStateBytes - 100_000);
    const tight = {
      ...request,
      optimizerStateOn: 'device',
      gpu: {
        ...gpu,
        usableBytes: planMemory({ ...request, optimizerStateOn: 'device' }).gpu!.peakBytes - 1,
      },
    } as const;
    expect(suggestSettings(tight).map(({ kind }) => kind)).not.toContain('8-bit-optimizer'); // which computes on the host
    expect(formatPlan(device)).toMatch(
      /optimiser state +100\.0 kB {3}and [\d.]+ MB in the machine's memory/,
    );
  });

  test('fits when both memories suffice, and says which does not', () => {
    expect(planMemory(request).fits).toBe(true);
    const small = { ...request, gpu: { ...gpu, usableBytes: 1e6 } };
    expect(() => requireFit(planMemory(small))).toThrow(
      /would take [\d.]+ MB on NVIDIA L4, and 1\.0 MB of 24\.0 GB are free\.\non NVIDIA L4\nweights/,
    );
    expect(() => requireFit(planMemory({ ...request, machine: machine(1e6) }))).toThrow(
      /would take [\d.]+ GB, and 1\.0 MB of 32\.0 GB are free/,
    );
  });

  test('takes the measures that lower what the card holds', () => {
    const peak = planMemory(request).gpu!.peakBytes;
    const { applied, plan } = chooseSettings({
      ...request,
      gpu: { ...gpu, usableBytes: peak - 1e6 },
    });
    expect(applied.map(({ kind }) => kind)).toEqual(['micro-batch']);
    expect(applied[0]!.peakBytes).toBe(plan.gpu!.peakBytes);
    const suggested = suggestSettings({ ...request, gpu: { ...gpu, usableBytes: peak - 1 } }).map(
      ({ kind }) => kind,
    );
    expect(suggested).not.toContain('8-bit-optimizer'); // its state is not there
  });

  test(
    'takes less in the kernels that are compiled for CPUs, and more where weights are ' +
      'converted for a product',
    () => {
      const own = ({ gpu: _gpu, ...rest }: PlanRequest): PlanRequest => rest;
      const activations = (changed: Partial<PlanRequest>) =>
        planMemory({ ...own(request), ...changed }).activationBytes;
      const sized = (options: TensorflowSizingOptions) => ({
        engine: tensorflowSizing({ precision: 'bfloat16', ...options }),
      });
      expect(activations(sized({ hasKernels: true }))).toBeLessThan(
        activations(sized({ hasKernels: false })),
      );
      // the weights are larger than all else then
      const oneToken = { method: lora({ rank: 1 }), batch: { sequences: 1, length: 1 } };
      expect(activations({ ...oneToken, ...sized({ precision: 'float32' }) })).toBeGreaterThan(
        activations({ ...oneToken, ...sized({}) }) + 2 * 256 * 128,
      );
      expect(() => planMemory({ ...request, engine: nativeSizing })).toThrow(
        'gpu is given, and the native engine computes on the CPU',
      );
    },
  );
});
