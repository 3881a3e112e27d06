import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-trainer-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a run whose process is killed', () => {
  it('resumes from its last checkpoint to the very same bytes', async () => {
    const script = fileURLToPath(new URL('run-in-child.ts', import.meta.url));
    const run = (path: string, killAfter?: number) =>
      new Promise<string>((resolve) => {
        const child = spawn(
          process.execPath,
          ['--conditions=@peft/source', '--import', 'tsx', script, path],
          { stdio: ['ignore', 'pipe', 'inherit'] },
        );
        let output = '';
        child.stdout.on('data', (chunk: Buffer) => {
          output += chunk.toString();
          if (killAfter !== undefined && output.includes(`step ${killAfter}\n`))
            child.kill('SIGKILL');
        });
        child.on('close', (_code, signal) => resolve(`${output}${signal ?? ''}`));
      });
    const whole = await run(join(folder, 'whole'));
    const killed = await run(join(folder, 'killed'), 8);
    expect(killed).toMatch(/step 8\n.*SIGKILL$/s);
    expect(killed).not.toContain('adapter');
    const resumed = await run(join(folder, 'killed'));
    // every 4 steps and at the ends of epochs; how far it came before the signal is chance
    expect(resumed).toMatch(/^started at (6|8|12|16)\n/);
    expect(adapterLine(resumed)).toBe(adapterLine(whole));
  });
});

const adapterLine = (output: string): string => /^adapter (.+)$/m.exec(output)![1]!;
