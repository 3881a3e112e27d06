import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('a tiny decoder learns from pairs to write letters in order, also those it was not shown', async () => {
  const script = fileURLToPath(new URL('preference.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--conditions=@peft/source',
    '--import',
    'tsx',
    script,
    '--test',
    '200',
    '--pairs',
    '1024',
  ]);
  const said = (when: string) => {
    const [, winRate, letters, inOrder] = new RegExp(
      `^${when}: win rate ([\\d.]+), answers with the letters of the prompt ([\\d.]+), in order ([\\d.]+)$`,
      'm',
    ).exec(stdout)!;
    return { winRate: Number(winRate), letters: Number(letters), inOrder: Number(inOrder) };
  };
  const [before, after] = [said('before'), said('after')];
  // 200 fair coins are within 0.5 ± 3.5·√(0.25/200)
  expect(Math.abs(before.winRate - 0.5)).toBeLessThan(0.124);
  expect(after.winRate).toBeGreaterThan(0.9);
  expect(after.inOrder).toBeGreaterThan(before.inOrder);
}, 300_000);
