import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { QUICK, tinyLlama, type TinyLlama } from './tiny-llama.js';

const COMMAND = fileURLToPath(new URL('../bin/peft.mjs', import.meta.url));

let llama: TinyLlama;
beforeAll(() => {
  llama = tinyLlama();
});
afterAll(() => llama.remove());

/** Starts a long fit, sends signals to the clone's command after the first step, and waits for all of it to end. */
async function stopped(output: string, ...signals: readonly NodeJS.Signals[]) {
  const words = ['fit', llama.chats, '--task', 'causal-lm', '--model', llama.path, '--method'];
  const further = ['lora', '--tune', llama.chats, ...QUICK, '--epochs', '5000', '-o', output];
  const command = spawn(process.execPath, [COMMAND, ...words, ...further], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let err = '';
  let isSent = false;
  command.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
    if (isSent || !err.includes('step 1/')) return;
    isSent = true;
    for (const signal of signals) command.kill(signal);
  });
  // `close` comes when the last process that holds standard error has ended
  await once(command, 'close');
  return { exitCode: command.exitCode, err };
}

describe.skipIf(process.platform === 'win32')('a fit in a clone', () => {
  test.each([
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGINT', 130],
  ] as const)(
    'that gets %s ends with a checkpoint, and says how to resume',
    async (signal, code) => {
      const output = join(llama.folder, signal);
      const { exitCode, err } = await stopped(output, signal, signal); // one press may arrive twice
      expect(exitCode, err).toBe(code);
      expect(readdirSync(join(output, 'checkpoints'))).toContainEqual(
        expect.stringMatching(/^checkpoint-\d+$/),
      );
      expect(err).toContain('stopping after this step; press Ctrl-C again to end at once');
      expect(err).toContain('was stopped after step');
      expect(err).toMatch(/Resume with:\n {2}(npx )?peft fit .* --resume\n/);
      rmSync(output, { recursive: true });
    },
  );

  test('whose wrapper is killed leaves no orphan, and a checkpoint', async () => {
    const output = join(llama.folder, 'killed');
    await stopped(output, 'SIGKILL');
    expect(existsSync(join(output, 'checkpoints'))).toBe(true);
  });
});
