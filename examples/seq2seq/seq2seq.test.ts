import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('a tiny encoder-decoder learns to describe restaurants that it has not seen', async () => {
  const script = fileURLToPath(new URL('seq2seq.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--conditions=@peft/source',
    '--import',
    'tsx',
    script,
  ]);
  const scores = (when: string): Record<string, number> =>
    Object.fromEntries(
      [...new RegExp(`^${when} .*$`, 'm').exec(stdout)![0].matchAll(/(\w+) ([\d.]+)/g)].map(
        ([, name, value]) => [name, Number(value)],
      ),
    );
  const [before, after] = [scores('before'), scores('after')];
  expect(before['rougeL']).toBeLessThan(0.06); // random weights write nothing of sense
  for (const metric of ['rouge1', 'rouge2', 'rougeL', 'bleu'])
    expect(after[metric], metric).toBeGreaterThan(before[metric]! + 0.03);
  const losses = [...stdout.matchAll(/^step (\d+) {2}loss ([\d.]+)$/gm)].map(([, , loss]) =>
    Number(loss),
  );
  expect(losses[0]).toBeCloseTo(Math.log(560), 0); // the vocabulary's 560 tokens are equally likely at the start
  expect(losses.at(-1)!).toBeLessThan(2.5);
});
