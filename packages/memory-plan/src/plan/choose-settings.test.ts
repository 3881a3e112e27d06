import { lora } from '@peft/lora';
import { nativeSizing } from '@peft/native';
import { describe, expect, test } from 'vitest';
import { familyOf, LLAMA, machine } from '../../test/small-llama.js';
import {
  chooseSettings,
  firstBlocks,
  planMemory,
  requireFit,
  suggestSettings,
  type PlanRequest,
} from '../index.js';

describe('settings', () => {
  const request: PlanRequest = {
    engine: nativeSizing,
    architecture: familyOf(LLAMA),
    config: { ...LLAMA, torch_dtype: 'bfloat16' },
    head: { kind: 'causal-lm' },
    method: lora({ rank: 64, targets: 'all-linear' }),
    batch: { sequences: 16, length: 128 },
  };
  const peak = planMemory(request).peakBytes;

  test('stay as they are where the run fits', () => {
    const { applied, plan } = chooseSettings({ ...request, machine: machine(peak) });
    expect(applied).toEqual([]);
    expect(plan.fits).toBe(true);
  });

  test('begin with smaller micro-batches that are still efficient, then checkpoint as few blocks as it takes', () => {
    // 512 tokens
    const efficient = planMemory({ ...request, batch: { sequences: 4, length: 128 } }).peakBytes;
    expect(
      chooseSettings({ ...request, machine: machine(efficient) }).applied.map(({ kind }) => kind),
    ).toEqual(['micro-batch']);
    const two = planMemory({
      ...request,
      batch: { sequences: 4, length: 128 },
      checkpointing: firstBlocks(2),
    }).peakBytes;
    const { settings, applied, plan } = chooseSettings({ ...request, machine: machine(two) });
    expect(applied.map(({ kind }) => kind)).toEqual(['micro-batch', 'checkpointing']);
    expect(settings.checkpointing).toEqual(firstBlocks(2));
    expect(plan.peakBytes).toBe(two);
  });

  test('round only when nothing else is left, and not at all when asked not to', () => {
    const smallest = planMemory({
      ...request,
      batch: { sequences: 1, length: 128 },
      checkpointing: true,
      residentStateBytes: 64e6,
    });
    const tight = machine(smallest.peakBytes - 100_000);
    const { applied, plan } = chooseSettings({ ...request, machine: tight });
    expect(applied.filter(({ isExact }) => !isExact)).not.toEqual([]);
    expect(plan.fits).toBe(true);
    expect(() => chooseSettings({ ...request, machine: tight }, { exact: true })).toThrow(
      expect.objectContaining({ code: 'PEFT_MEMORY_INSUFFICIENT' }),
    );
  });

  test('that nothing can make fit are refused with the plan', () => {
    const tiny = { ...request, machine: machine(1e6) };
    expect(() => chooseSettings(tiny)).toThrow(
      /memory plan: the run would take .* are free\.\nweights/s,
    );
    expect(() => requireFit(planMemory(tiny), suggestSettings(tiny))).toThrow(
      expect.objectContaining({
        code: 'PEFT_MEMORY_INSUFFICIENT',
        hint: 'take a smaller model, shorter texts, or a machine with more memory',
      }),
    );
  });

  test('are suggested one by one, each with the peak that it would give', () => {
    const suggestions = suggestSettings({ ...request, machine: machine(peak - 1) });
    expect(suggestions.map(({ kind }) => kind)).toEqual([
      'micro-batch',
      'checkpointing',
      '8-bit-optimizer',
      'quantization',
    ]); // the state is below what stays in memory
    for (const { settings, peakBytes, fits } of suggestions) {
      expect(planMemory({ ...request, ...settings }).peakBytes).toBe(peakBytes);
      expect(fits).toBe(peakBytes <= peak - 1);
    }
    expect(suggestions[0]!.text).toBe('micro-batches of 15 instead of 16 sequences');
    expect(suggestions[1]!.text).toBe('gradient checkpointing of the first 1 of 4 blocks');
  });
});
