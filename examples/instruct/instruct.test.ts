import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('a tiny decoder learns 50 answers by heart and writes them', async () => {
  const script = fileURLToPath(new URL('instruct.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--conditions=@peft/source',
    '--import',
    'tsx',
    script,
  ]);
  const losses = [...stdout.matchAll(/^step (\d+) {2}loss ([\d.]+)$/gm)].map(([, step, loss]) => ({
    step: Number(step),
    loss: Number(loss),
  }));
  // the vocabulary's 460 tokens are equally likely at first
  expect(losses[0]).toMatchObject({ step: 1, loss: expect.closeTo(Math.log(460), 0) });
  expect(losses.at(-1)!.loss).toBeLessThan(0.1);
  const [, exact] = /answers word for word ([\d.]+)/.exec(stdout)!;
  expect(Number(exact)).toBeGreaterThan(0.9);
});
