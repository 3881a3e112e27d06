#!/usr/bin/env node
/** The `peft` command. In a clone it runs from source; an installed package runs its build. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const source = new URL('../src/main.ts', import.meta.url);
if (existsSync(source)) {
  const { runSource } = await import('../../../tools/source-process.mjs');
  runSource(fileURLToPath(source), process.argv.slice(2));
} else {
  await import('../dist/main.js');
}
