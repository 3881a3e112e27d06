/**
 * `kill -9` of a random rank at a random instant, also while ranks start, find each other and write:
 * the others end, nothing of them stays, and the run goes on to the bytes of one that was never
 * killed. `PEFT_KILLS` times, 50 by default, with `PEFT_LONG_TESTS=1` alone.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { randomKey, randomUniform } from '@peft/ops';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peft } from './fake-terminal.js';
import { command, completed, start } from './processes.js';
import {
  adapterHash,
  canRunRanks,
  isThere,
  lastStep,
  rankFit,
  ranksOf,
  treeOf,
} from './rank-processes.js';
import { tinyLlama, type TinyLlama } from './tiny-llama.js';

const isLong = process.env['PEFT_LONG_TESTS'] === '1';
const KILLS = Number(process.env['PEFT_KILLS'] ?? 50);
/** Kills of one run, before it is let through. */
const KILLS_OF_A_RUN = 10;
/** The share of kills that fall into the time before the first step of a start. */
const STARTING_SHARE = 0.3;
const END_MS = 10_000;

let llama: TinyLlama;
beforeAll(() => {
  llama = tinyLlama();
});
afterAll(() => llama.remove());

/** With a checkpoint every few steps. */
const fit = (output: string, ...further: string[]): string[] =>
  rankFit(llama, output, '--method', 'lora', '--epochs', '400', '--quiet', ...further);
const until = (steps: number): string[] => ['--set', `optim.max_steps=${steps}`];

/** Numbers from 0 to 1, the same each time. */
function draws(seed: number): () => number {
  const key = randomKey(seed, 'kills of ranks');
  let count = 0;
  return () => randomUniform(key, count++);
}

/** Starts or resumes, kills a rank, and waits until none is there. @returns how long that took */
async function killOnce(output: string, draw: () => number): Promise<number> {
  const before = lastStep(output);
  const { child, ended } = start([...command, ...fit(output, '--ranks', '3', '--resume')]);
  const startedAtMs = performance.now();
  while (ranksOf(output).length < 3) await delay(20);
  const isStarting = draw() < STARTING_SHARE;
  const waitUntil = async (isReached: () => boolean): Promise<void> => {
    while (!isReached()) {
      expect(child.exitCode, 'the fit has ended by itself').toBe(null);
      await delay(20);
    }
  };
  // as long as it took the ranks to be there, they take again to read their packages and the model
  if (isStarting) await delay(draw() * 3 * (performance.now() - startedAtMs));
  else {
    await waitUntil(() => lastStep(output) !== before);
    await delay(draw() * 1000);
  }
  const tree = treeOf(child.pid!);
  const ranks = ranksOf(output);
  expect(ranks).toHaveLength(3);
  process.kill(ranks[Math.floor(draw() * ranks.length)]!, 'SIGKILL');
  const killedAtMs = performance.now();
  const sinceKill = (): number => performance.now() - killedAtMs;
  const { code, err } = await ended;
  expect(code, err).not.toBe(0);
  // whoever inherits them takes a moment to hear of their end
  while (tree.some(isThere) && sinceKill() < END_MS) await delay(20);
  expect(tree.filter(isThere), 'processes that are left, or their zombies').toEqual([]);
  return sinceKill();
}

describe.skipIf(!canRunRanks || !isLong)('a fit on three ranks', () => {
  it(
    `is killed ${KILLS} times, ends within ${END_MS / 1000} s, and goes on to the same bytes`,
    async () => {
      const draw = draws(Number(process.env['PEFT_SEED'] ?? 1));
      let [kills, runs, slowestMs] = [0, 0, 0];
      for (; kills < KILLS; runs += 1) {
        const output = join(llama.folder, `killed-${runs}`);
        for (let kill = 0; kill < KILLS_OF_A_RUN && kills < KILLS; kill += 1) {
          slowestMs = Math.max(slowestMs, await killOnce(output, draw));
          kills += 1;
        }
        const steps = lastStep(output) + 3;
        const ranks = String(1 + Math.floor(4 * draw()));
        const alone = join(llama.folder, `never-killed-${runs}`);
        await completed(...command, ...fit(output, ...until(steps), '--ranks', ranks, '--resume'));
        const { code, err } = await peft(...fit(alone, ...until(steps)));
        expect(code, err).toBe(0);
        expect(adapterHash(output), `${steps} steps, the last on ${ranks} ranks`).toBe(
          adapterHash(alone),
        );
      }
      process.stdout.write(
        `${kills} kills of ranks in ${runs} runs, all ended within ${(slowestMs / 1000).toFixed(1)} s\n`,
      );
    },
    120_000 + KILLS * 120_000,
  );
});
