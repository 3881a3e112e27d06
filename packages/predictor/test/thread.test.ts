import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';

const root = mkdtempSync(join(tmpdir(), 'peft-thread-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test('a predictor in a thread trains, stops, resumes and predicts, and computes nothing in the thread of the caller', async () => {
  const script = fileURLToPath(new URL('thread-in-child.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--conditions=@peft/source',
    '--import',
    'tsx',
    script,
    root,
  ]);
  const told = JSON.parse(stdout) as Record<string, unknown>;
  expect(told).toMatchObject({
    aborted: 'PEFT_RUN_ABORTED',
    steps: 8,
    unclonable: 'PEFT_THREAD_OPTIONS',
    disposed: 'PEFT_THREAD_ENDED',
    unknown: 'PEFT_METRIC_UNKNOWN',
    kernelsHere: 0,
    kernelsOfASum: 1, // which shows that they are counted
    events: expect.arrayContaining(['run/started', 'step/completed', 'run/ended']) as string[],
  });
  expect(told['predictions']).toHaveLength(4);
  expect(told['again']).toEqual(told['predictions']);
});
