#!/usr/bin/env node
/**
 * `npm create @peft/method`. In a clone it runs from source; an installed package runs its build.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const source = new URL('../src/main.ts', import.meta.url);
if (existsSync(source)) {
  const child = spawn(
    process.execPath,
    [
      '--conditions=@peft/source',
      '--import',
      import.meta.resolve('tsx'),
      fileURLToPath(source),
      ...process.argv.slice(2),
    ],
    { stdio: 'inherit' },
  );
  child.on('exit', (code) => process.exit(code ?? 1));
} else {
  await import('../dist/main.js');
}
