import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { PlannedPipeline } from '../src/ranks/plan-pipeline.js';
import { peft } from './fake-terminal.js';

const config = fileURLToPath(
  new URL(
    '../../testing/fixtures/autogluon/configs/bert-base-uncased/config.json',
    import.meta.url,
  ),
);
const plan = (...flags: string[]) =>
  peft('plan', config, '--batch', '4', '--length', '100', '--memory', '16GB', ...flags);

test('a plan says what ranks send, hold and lose', async () => {
  const flags = ['--ranks', '4', '--micro-batches', '8', '--link', '100MB/s'];
  const { out } = await plan(...flags, '--tokens-per-second', '400', '--json');
  const { plan: made, ranks } = JSON.parse(out);
  const gradient = 4 * made.trainableParameters;
  // ⌈log₂ 8⌉ + 1 sums, one to send and one to receive into
  expect(made.gradientBytes).toBe(6 * gradient);
  expect(ranks.bytesPerStep).toBe(1.5 * gradient);
  const exchangeSeconds = (1.5 * gradient) / 100e6 + 8e-3;
  expect(ranks.exchangeSeconds).toBeCloseTo(exchangeSeconds, 9);
  // a micro-batch takes a second, and each rank has two
  expect(ranks.efficiency).toBeCloseTo(2 / (2 + exchangeSeconds), 9);
});

test('a plan of ranks is printed below that of one', async () => {
  const { out } = await plan('--ranks', '2', '--micro-batches', '2');
  expect(out).toContain('on 2 ranks, each with the memory above');
  expect(out).toContain('busiest rank       50 % of each step');
  expect(out).toContain('give --tokens-per-second of one rank');
});

test('a link that is no rate is refused', async () => {
  const { code, err } = await plan('--ranks', '2', '--link', 'fast');
  expect(code).toBe(1);
  expect(err).toContain('plan: --link must be a rate such as 1Gb/s or 100MB/s, got "fast"');
});

test('a plan of stages tells the memory of each, the bubble and what goes over the wire', async () => {
  const flags = ['--ranks', '4', '--pipeline', '2', '--micro-batches', '8', '--link', '100MB/s'];
  const { out } = await plan(...flags, '--tokens-per-second', '400', '--json');
  const { pipeline } = JSON.parse(out) as { pipeline: PlannedPipeline };
  const { plan: whole } = JSON.parse((await plan('--json')).out);
  expect(pipeline.stages.map(({ stage }) => stage)).toEqual([
    { first: 0, end: expect.any(Number) },
    { first: expect.any(Number), end: 12 },
  ]);
  for (const { plan: made } of pipeline.stages) {
    expect(made.weightBytes).toBeLessThan(0.7 * whole.weightBytes);
    expect(made.trainableParameters).toBe(whole.trainableParameters);
  }
  // two groups have four micro-batches each, of 4 · 100 tokens of 768 numbers
  expect(pipeline.bubble).toBeCloseTo(1 / 5, 9);
  expect(pipeline.stateBytesPerStep).toBe(4 * 400 * 768 * 4);
  expect(pipeline.efficiency).toBeGreaterThan(0.4);
  expect(pipeline.efficiency).toBeLessThan(0.8);
  const printed = await plan(...flags, '--stage-bits', '16');
  expect(printed.out).toContain('on 4 ranks, 2 of which hold a model');
  expect(printed.out).toContain('bubble             20 % of each step');
});

test('a plan of stages that do not divide the ranks is refused', async () => {
  const { code, err } = await plan('--ranks', '3', '--pipeline', '2');
  expect(code).toBe(1);
  expect(err).toContain('plan: --pipeline 2 does not divide --ranks 3.');
});

test('a plan of a shared base tells what each rank holds of it, and what suits the link', async () => {
  const flags = ['--ranks', '4', '--shard-base', '--micro-batches', '8'];
  const fast = ['--link', '100Gb/s', '--tokens-per-second', '400', '--json'];
  const { plan: made, ranks } = JSON.parse((await plan(...flags, ...fast)).out);
  const { plan: whole } = JSON.parse((await plan('--json')).out);
  const { sharedBytes, largestBlockBytes, heldBytes } = made.shards;
  // twelve blocks of BERT's 7.08 million values
  expect(sharedBytes).toBe(12 * largestBlockBytes);
  expect(largestBlockBytes).toBe(4 * (4 * 768 * 768 + 2 * 768 * 3072));
  expect(heldBytes).toBe(sharedBytes / 4 + 3 * largestBlockBytes);
  expect(made.weightBytes).toBe(whole.weightBytes - sharedBytes + heldBytes);
  expect(ranks.blockBytesPerStep).toBe(2 * 23 * 0.75 * largestBlockBytes);
  expect(ranks.efficiency).toBeGreaterThan(ranks.pipelineEfficiency);
  const { out } = await plan(...flags, '--link', '10Mb/s', '--tokens-per-second', '400');
  expect(out).toContain('on 4 ranks that share the base, each with the memory above');
  expect(out).toContain('--pipeline 4 suits this link better');
});

test('a plan of a shared base is refused for one rank, for stages, and for what cannot be shared', async () => {
  expect((await plan('--shard-base')).err).toContain('plan: --shard-base needs several --ranks.');
  const both = await plan('--ranks', '2', '--shard-base', '--pipeline', '2');
  expect(both.err).toContain('plan: --shard-base and --pipeline are given');
  const t5 = fileURLToPath(
    new URL('../../testing/fixtures/models/flan-t5/config.json', import.meta.url),
  );
  const { err } = await peft('plan', t5, '--ranks', '2', '--shard-base', '--head', 'seq2seq-lm');
  expect(err).toContain('PEFT_SHARDS_UNSUPPORTED');
});
