import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
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
