import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import rightOrder from './right-order.js';

it.each([
  [' a c m', 1],
  [' c a m', 0], // the form is right
  [' m c a', 0],
  [' a b c', 0], // in order, but others
  [' a c', 0],
  [' a c m m', 0],
  ['', 0],
])('of "Sort m c a:" the answer "%s" earns %i', (completion, reward) => {
  expect(rightOrder({ prompt: 'Sort m c a:', completion })).toBe(reward);
});

it('a base that has the form and no order learns by rewards to sort letters that it was not shown', async () => {
  const script = fileURLToPath(new URL('grpo.ts', import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), 'grpo-'));
  const words = ['--conditions=@peft/source', '--import', 'tsx', script, folder, '--epochs', '5'];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, words);
    const said = (when: string) => {
      const [, form, right] = new RegExp(
        `^${when}: answers with the letters of the prompt ([\\d.]+), in order ([\\d.]+)$`,
        'm',
      ).exec(stdout)!;
      return { form: Number(form), right: Number(right) };
    };
    const before = said('before');
    expect(before.form).toBeGreaterThan(0.9);
    // 265 answers in one of six orders are within 1/6 ± 3.5·√(5/36/265)
    expect(Math.abs(before.right - 1 / 6)).toBeLessThan(0.08);
    // 0.94 in the end, see README
    expect(said('after').right).toBeGreaterThan(0.5);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 300_000);
