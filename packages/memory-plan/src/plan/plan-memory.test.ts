import { lora } from '@peft/lora';
import { nativeSizing } from '@peft/native';
import { adamw8bit } from '@peft/optim';
import { describe, expect, test } from 'vitest';
import { familyOf, LLAMA, machine, NF4 } from '../../test/small-llama.js';
import { firstBlocks, formatPlan, planMemory, type PlanRequest } from '../index.js';

describe('a plan', () => {
  const request: PlanRequest = {
    engine: nativeSizing,
    architecture: familyOf(LLAMA),
    config: { ...LLAMA, torch_dtype: 'bfloat16' },
    head: { kind: 'causal-lm' },
    method: lora({ rank: 4, targets: 'all-linear' }),
    batch: { sequences: 8, length: 128 },
    machine: machine(16e9),
  };

  test('has less for activations where VeLoRA keeps inputs in short', () => {
    const bytesWith = (velora?: { readonly groups: number }) =>
      planMemory({ ...request, method: lora({ rank: 4, targets: 'all-linear', velora }) })
        .activationBytes;
    expect(bytesWith({ groups: 4 })).toBeLessThan(0.9 * bytesWith());
  });

  test(
    'has less for activations with checkpointing, less for state in 8 bits or in a page ' +
      'file, less for weights in NF4',
    () => {
      const plain = planMemory(request);
      expect(planMemory({ ...request, checkpointing: true }).activationBytes).toBeLessThan(
        plain.activationBytes / 2,
      );
      expect(
        planMemory({ ...request, optimizer: adamw8bit({ minimumElements: 0 }) })
          .optimizerStateBytes,
      ).toBeLessThan(plain.optimizerStateBytes / 3);
      const paged = planMemory({ ...request, residentStateBytes: 1000 });
      expect([paged.optimizerStateBytes, paged.pagedStateBytes]).toEqual([
        1000,
        plain.optimizerStateBytes - 1000,
      ]);
      expect(planMemory({ ...request, quantization: NF4 }).weightBytes).toBeLessThan(
        plain.weightBytes,
      );
      const narrow = (format: 'bf16' | 'f32') =>
        planMemory({
          ...request,
          config: LLAMA,
          storedDtype: 'F32',
          ...(format === 'bf16' && { quantization: { format } }),
        }).weightBytes;
      expect(narrow('bf16')).toBeLessThan(0.51 * narrow('f32'));
      expect(
        planMemory({ ...request, storedQuantization: { ...NF4, skipModules: [] } }).weightBytes,
      ).toBe(planMemory({ ...request, quantization: NF4 }).weightBytes);
    },
  );

  test('has two bytes for each value that is decoded while it is read, and one matrix more then', () => {
    const config = { ...LLAMA, tie_word_embeddings: true };
    const planOf = (json: object) =>
      planMemory({ ...request, config: { ...config, ...json }, runtimeBytes: 0 });
    const [plain, fp8] = [{}, { quantization_config: { quant_method: 'fp8' } }].map(planOf);
    const linear = 4 * (128 * (128 + 64 + 64 + 128) + 3 * 128 * 256);
    expect(plain!.weightBytes - fp8!.weightBytes).toBe(2 * linear);
    // the native engine maps what is float32; the last of the decoded is followed by three norms
    expect(plain!.loadingPeakBytes).toBe(plain!.weightBytes);
    expect(fp8!.loadingPeakBytes).toBe(fp8!.weightBytes - 3 * 4 * 128 + 2 * 256 * 128);
  });

  test('grows with every block that is kept', () => {
    const activations = [4, 3, 2, 1, 0].map(
      (count) => planMemory({ ...request, checkpointing: firstBlocks(count) }).activationBytes,
    );
    expect(activations).toEqual([...activations].sort((a, b) => a - b));
    expect(new Set(activations).size).toBe(5);
  });

  test('counts 4 bytes for a value that trains, 4 for its gradient and 8 for what Adam keeps of it', () => {
    const plan = planMemory(request);
    expect(plan.gradientBytes).toBe(4 * plan.trainableParameters);
    expect(planMemory({ ...request, gradientSums: 3 }).gradientBytes).toBe(3 * plan.gradientBytes);
    expect(plan.optimizerStateBytes).toBe(8 * plan.trainableParameters);
    expect(plan.adapterBytes).toBe(4 * plan.trainableParameters);
  });

  test('makes no start values: the weights that PiSSA changes are float32, and nothing is decomposed', () => {
    const method = (init: string) => lora({ rank: 4, targets: ['q_proj'], init });
    const [plain, pissa] = [
      planMemory({ ...request, method: method('default') }),
      planMemory({ ...request, method: method('pissa') }),
    ];
    expect(pissa.trainableParameters).toBe(4 * 4 * (128 + 128));
    expect(pissa.adapterBytes - plain.adapterBytes).toBe(4 * 4 * 128 * 128); // four layers' q_proj
  });

  test('is shown part by part, with what the machine has', () => {
    const text = formatPlan(planMemory({ ...request, machine: machine(1e6) }));
    expect(text.split('\n').map((line) => line.split(/\s{2,}/)[0])).toEqual([
      'weights',
      'adapters',
      'gradients',
      'optimiser state',
      'activations',
      'runtime',
      'peak',
    ]);
    expect(text).toContain('1.0 MB of 32.0 GB are free: it does not fit');
  });

  test('refuses what no batch can be', () => {
    expect(() => planMemory({ ...request, batch: { sequences: 0, length: 4 } })).toThrow(
      'memory plan: batch.sequences must be a positive integer, got 0.',
    );
  });
});
