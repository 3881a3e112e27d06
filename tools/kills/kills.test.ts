/**
 * Kills fits at random instants, also while they resume and while the model is placed, until one
 * gets through: it must end with the bytes of a fit without a break, and leave nothing behind.
 * Four kills here, 200 with `PEFT_LONG_TESTS=1`, `PEFT_KILLS` of them where that is set.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { randomKey, randomUniform } from '@peft/ops';
import { afterAll, expect, test } from 'vitest';

const KILLS = Number(
  process.env['PEFT_KILLS'] ?? (process.env['PEFT_LONG_TESTS'] === '1' ? 200 : 4),
);
/** The share of kills that fall into the time after the training, while the model is placed. */
const PLACING_SHARE = 0.3;
const CHILD = fileURLToPath(new URL('fit-in-child.ts', import.meta.url));

const root = mkdtempSync(join(tmpdir(), 'peft-kills-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Ended {
  readonly wasKilled: boolean;
  readonly output: string;
  /** From `ready` to the line `trained`, and to the end. */
  readonly trainedMs: number;
  readonly totalMs: number;
}

/** Waits for the child's modules to be loaded, then for `killAfterMs`, then kills it. */
function fit(folder: string, killAfterMs?: (trained: Promise<void>) => Promise<void>) {
  return new Promise<Ended>((resolve, reject) => {
    const child = spawn(
      process.execPath,
      ['--conditions=@peft/source', '--import', 'tsx', CHILD, folder],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let output = '';
    let readyAt = Number.NaN;
    let trainedAt = Number.NaN;
    let onTrained: () => void = () => undefined;
    const trained = new Promise<void>((told) => (onTrained = told));
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (Number.isNaN(readyAt) && output.includes('ready\n')) {
        readyAt = performance.now();
        void killAfterMs?.(trained).then(() => child.kill('SIGKILL'));
      }
      if (Number.isNaN(trainedAt) && output.includes('trained\n')) {
        trainedAt = performance.now();
        onTrained();
      }
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const wasKilled = signal === 'SIGKILL';
      if (!wasKilled && code !== 0) reject(new Error(`the fit failed:\n${output}`));
      const now = performance.now();
      resolve({ wasKilled, output, trainedMs: trainedAt - readyAt, totalMs: now - readyAt });
    });
  });
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Every file of a folder with the hash of its bytes; the record without times and memory. */
function contents(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
  return Object.fromEntries(
    files.map((path) => {
      const name = relative(folder, path);
      const isRun = name === 'predictor.json' || name.endsWith('README.md');
      const isLog = name === 'events.jsonl' || name === 'run.json';
      const bytes = isRun || isLog ? Buffer.alloc(0) : readFileSync(path);
      return [name, createHash('sha256').update(bytes).digest('hex')];
    }),
  );
}

test(
  `${KILLS} kills at random instants change no byte of the result and leave nothing behind`,
  { timeout: 600_000 + KILLS * 60_000 },
  async () => {
    const whole = join(root, 'whole');
    const { trainedMs, totalMs } = await fit(whole);
    const expected = contents(whole);
    expect(Object.keys(expected)).toContain('predictor.json');
    const key = randomKey(Number(process.env['PEFT_SEED'] ?? 1), 'kills');
    let kills = 0;
    let runs = 0;
    for (let draw = 0; kills < KILLS; runs += 1) {
      const folder = join(root, `run-${runs}`);
      // a run may be killed several times before it is let through
      for (let attempt = 0; attempt < 6; attempt += 1) {
        const [phase, part] = [randomUniform(key, draw), randomUniform(key, draw + 1)];
        draw += 2;
        const isLetThrough = attempt === 5 || kills >= KILLS;
        const kill = async (trained: Promise<void>): Promise<void> => {
          if (phase >= PLACING_SHARE) return sleep(part * trainedMs);
          await trained;
          await sleep(part * (totalMs - trainedMs));
        };
        const ended = await fit(folder, isLetThrough ? undefined : kill);
        if (!ended.wasKilled) break;
        kills += 1;
      }
      expect(contents(folder), `run ${runs} after ${kills} kills`).toEqual(expected);
      rmSync(folder, { recursive: true, force: true });
    }
    process.stdout.write(`${kills} kills in ${runs} runs\n`);
  },
);
