import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

test("the README's example prints what the README says", () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const [, code] = /```ts\n([\s\S]*?)```/.exec(readme)!;
  const [, output] = /```text\n([\s\S]*?)```/.exec(readme)!;
  const path = fileURLToPath(new URL(`./readme-example.${process.pid}.tmp.mts`, import.meta.url));
  onTestFinished(() => rmSync(path, { force: true }));
  writeFileSync(path, code!);
  const cwd = fileURLToPath(new URL('../../../', import.meta.url));
  expect(execFileSync(process.execPath, ['--conditions=@peft/source', '--import', 'tsx', path], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })).toContain(output!);
});
