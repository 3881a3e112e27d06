/**
 * Runs a TypeScript file of this repository with the packages resolved from source: `node
 * tools/run-source.mjs FILE [arguments]`.
 */
import { spawn } from 'node:child_process';

const child = spawn(
  process.execPath,
  ['--conditions=@peft/source', '--import', 'tsx', ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)));
