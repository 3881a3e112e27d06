import { expect, it } from 'vitest';
import { describeModel } from '@peft/core';
import { lora } from '@peft/lora';
import { llama, t5 } from '@peft/models';
import { nativeSizing } from '@peft/native';
import { cutStages, evenCuts, stageWork } from './cut-stages.js';
import { planMemory } from './plan-memory.js';

const BLOCKS = 8;
const config = {
  model_type: 'llama',
  vocab_size: 32_000,
  hidden_size: 256,
  intermediate_size: 512,
  num_hidden_layers: BLOCKS,
  num_attention_heads: 4,
  num_key_value_heads: 4,
  tie_word_embeddings: false,
};
const request = {
  architecture: llama,
  config,
  head: { kind: 'causal-lm' },
  method: lora({ rank: 4 }),
  engine: nativeSizing,
  storedDtype: 'F32',
  batch: { sequences: 1, length: 64 },
  hasFiles: false,
} as const;

it('cuts where the largest part is smallest', () => {
  const sizes = [4, 1, 1, 1, 1, 4];
  const sum = (first: number, end: number): number =>
    sizes.slice(first, end).reduce((total, size) => total + size, 0);
  expect(evenCuts(6, 2, sum)).toEqual([0, 3]);
  // 4 | 1 1 1 1 | 4
  expect(evenCuts(6, 3, sum)).toEqual([0, 1, 5]);
});

it('gives the ends fewer blocks where memory is short, which hold the table and the output layer', () => {
  const machine = { totalBytes: 1, usableBytes: 1 };
  const stages = cutStages({ ...request, machine, stages: 3 });
  const blocks = stages.map(({ first, end }) => end - first);
  expect(blocks.reduce((sum, count) => sum + count)).toBe(BLOCKS);
  expect(stages[0]!.first).toBe(0);
  expect(blocks[1]).toBeGreaterThan(blocks[0]!);
  expect(blocks[1]).toBeGreaterThan(blocks[2]!);
  expect(stages.map(({ inFlight }) => inFlight)).toEqual([3, 2, 1]);
});

it('gives each as much to compute where that fits, the output layer included', () => {
  const machine = { totalBytes: 64e9, usableBytes: 64e9 };
  const stages = cutStages({ ...request, machine, stages: 3 });
  // a block has 4·256² + 3·256·512 weights, the output layer 256·32,000: as 12.5 blocks
  expect(stages.map(({ first, end }) => end - first)).toEqual([3, 4, 1]);
  const description = describeModel(llama, llama.parseConfig(config), request.head);
  const work = stages.map((stage) => stageWork(description, stage));
  expect(work.reduce((sum, share) => sum + share)).toBeCloseTo(1, 12);
  expect(work[2]).toBeCloseTo((1 + 12.5) / (8 + 12.5), 12);
});

it('plans each stage: their weights are those of the model, small tensors apart', () => {
  const whole = planMemory(request);
  const plans = cutStages({ ...request, stages: 2 }).map((stage) =>
    planMemory({ ...request, stage }),
  );
  const weights = plans.map(({ weightBytes }) => weightBytes);
  // the norms are everywhere: 17 of 256 numbers
  expect(weights[0]! + weights[1]!).toBe(whole.weightBytes + 17 * 256 * 4);
  for (const { peakBytes, activationBytes, adapterBytes } of plans) {
    expect(peakBytes).toBeLessThan(whole.peakBytes);
    expect(activationBytes).toBeGreaterThan(0);
    expect(adapterBytes).toBe(whole.adapterBytes);
  }
  // the first has two micro-batches in flight, of half of the blocks each
  expect(plans[0]!.activationBytes).toBeGreaterThan(whole.activationBytes / 3);
});

it('refuses what is no single stack', () => {
  const t5Config = { model_type: 't5', vocab_size: 64, d_model: 16, d_ff: 32, num_layers: 2 };
  expect(() =>
    cutStages({
      ...request,
      architecture: t5,
      config: t5Config,
      head: { kind: 'seq2seq-lm' },
      stages: 2,
    }),
  ).toThrow('t5: it cannot be cut into 2 stages: its decoder reads the states of its encoder.');
});
