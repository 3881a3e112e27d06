/** Fits that several processes share, started by `--ranks` and by launchers themselves. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mpich, openMpi } from '../../mpi/test/mpirun.js';
import { command, completed, program, start } from './processes.js';
import {
  adapterHash,
  canRunRanks,
  lastStep,
  PROCESSES_MS,
  rankFit,
  ranksOf,
} from './rank-processes.js';
import { withoutTune } from '../src/ranks/launch-ranks.js';
import { NOUNS, tinyLlama, type TinyLlama } from './tiny-llama.js';

const isLong = process.env['PEFT_LONG_TESTS'] === '1';
if (!canRunRanks)
  console.log('not tried: fits on ranks, which need Open MPI and the addon of @peft/mpi');

let llama: TinyLlama;
beforeAll(() => {
  llama = tinyLlama();
});
afterAll(() => llama.remove());

const fit = (output: string, ...further: string[]): string[] => rankFit(llama, output, ...further);
const lora = (output: string, ...further: string[]): string[] =>
  fit(output, '--method', 'lora', ...further);

const adapterOf = (output: string): string => adapterHash(join(llama.folder, output));

async function firstCheckpoint(output: string): Promise<void> {
  while (stepOf(output) === 0) await delay(20);
}

const stepOf = (output: string): number => lastStep(join(llama.folder, output));
const ranksIn = (output: string): number[] => ranksOf(join(llama.folder, output));

it("keeps --tune from Open MPI's mpirun", () => {
  expect(withoutTune(['fit', 'a', '--tune', 'b', '-o', 'c'])).toEqual([
    ...['fit', 'a', '--tune=b', '-o', 'c'],
  ]);
  expect(withoutTune(['fit', 'a'])).toEqual(['fit', 'a']);
});

describe.skipIf(!canRunRanks)('a fit on 2 ranks', () => {
  it('ends with the bytes of one process, and says everything once', async () => {
    const flags = ['--epochs', '2', '--json'];
    await completed(...command, ...lora('alone', ...flags));
    const { out, err } = await completed(...command, ...lora('two', ...flags, '--ranks', '2'));
    expect(out.trim().split('\n')).toHaveLength(1);
    expect(JSON.parse(out)).toMatchObject({ steps: 6 });
    expect(err).toBe('');
    expect(adapterOf('two')).toBe(adapterOf('alone'));
    expect(existsSync(join(llama.folder, 'two/predictor.json'))).toBe(true);
  });
});

describe.skipIf(!canRunRanks)('doctor --mpi', () => {
  it('tells the library, how many ranks found each other, and how fast they talk', async () => {
    const { out, err } = await completed(...command, 'doctor', '--mpi', '--ranks', '2', '--json');
    expect(err).toBe('');
    const told = JSON.parse(out) as { links: Record<string, number>[] };
    expect(told).toMatchObject({ ranks: 2, ranksOfFirstMachine: 2 });
    expect(told).toHaveProperty('version', expect.stringContaining('Open MPI'));
    expect(told.links).toHaveLength(1);
    const { rank, latencySeconds, bytesPerSecond } = told.links[0]!;
    expect(rank).toBe(1);
    // of one machine, however busy it is
    expect(latencySeconds).toBeGreaterThan(0);
    expect(latencySeconds).toBeLessThan(0.1);
    expect(bytesPerSecond).toBeGreaterThan(1e7);
  });
});

/** Losses and metrics of the steps of a run. */
const stepsOf = (output: string): unknown[] =>
  readFileSync(join(llama.folder, output, 'events.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ type }) => type === 'step/completed')
    .map(({ step, loss, metrics }) => ({ step, loss, metrics }));

describe.skipIf(!canRunRanks || !isLong)('what is preferred, on 2 ranks', () => {
  const rows = NOUNS.map((noun) => ({
    prompt: `Who is the ${noun}?`,
    chosen: ' A friend.',
    rejected: ' A stone.',
  }));

  /** Either answer is preferred once, so that no run is perfect and ends before its steps are done. */
  const undecided = rows
    .slice(0, 1)
    .flatMap((row) => [row, { ...row, chosen: row.rejected, rejected: row.chosen }]);

  it.each(['preference', 'reward', 'grpo'])(
    'ends with the bytes of one process: %s',
    async (task) => {
      const table = llama.lines(`${task}.jsonl`, rows);
      const tune = llama.lines(`${task}-tune.jsonl`, undecided);
      const reward = join(llama.folder, 'even.mjs');
      writeFileSync(reward, 'export default ({ completionIds }) => completionIds[0] % 2;');
      const words = (output: string): string[] => [
        ...['fit', table, '--task', task, '--model', llama.path, '--tune', tune],
        ...['--method', 'lora', '--batch-size', '3', '--epochs', '2', '--engine', 'portable'],
        ...['--set', 'env.per_gpu_batch_size=1', 'model.hf_text.max_text_len=48'],
        ...['model.hf_text.max_target_len=4', ...(task === 'grpo' ? ['optim.group_size=2'] : [])],
        ...['--quiet', '--output', join(llama.folder, output)],
        ...(task === 'grpo' ? ['--reward', reward] : []),
      ];
      const [alone, two] = [`${task}-alone`, `${task}-two`];
      await completed(...command, ...words(alone));
      await completed(...command, ...words(two), '--ranks', '2');
      expect(adapterOf(two)).toBe(adapterOf(alone));
      expect(stepsOf(alone)).toHaveLength(6);
      expect(stepsOf(alone)[0]).toMatchObject({ step: 1, metrics: expect.any(Object) as unknown });
      expect(stepsOf(two)).toEqual(stepsOf(alone));
    },
    PROCESSES_MS,
  );
});

describe.skipIf(!canRunRanks || !isLong)('ranks', () => {
  it.each(['lora', 'ia3_bias'])(
    'of either MPI, 2 and 4, end with the bytes of one process: %s',
    async (method) => {
      const words = (output: string): string[] =>
        fit(`${method}-${output}`, '--method', method, '--epochs', '2');
      await completed(...command, ...words('alone'));
      await completed(...command, ...words('ranks'), '--ranks', '4');
      expect(adapterOf(`${method}-ranks`)).toBe(adapterOf(`${method}-alone`));
      for (const [name, launcher] of Object.entries({ openMpi, mpich }))
        for (const size of ['2', '4']) {
          if (!launcher) continue;
          const output = `${name}-${size}`;
          await completed(launcher, '-n', size, ...program, ...withoutTune(words(output)));
          expect(adapterOf(`${method}-${output}`)).toBe(adapterOf(`${method}-alone`));
        }
    },
    PROCESSES_MS,
  );

  it(
    'stop at one Ctrl-C with a checkpoint, and go on in other numbers to the same bytes',
    async () => {
      const flags = ['--epochs', '400', '--quiet'];
      const { child, ended } = start([...command, ...lora('stopped', ...flags, '--ranks', '2')]);
      await firstCheckpoint('stopped');
      child.kill('SIGINT');
      const { code, err } = await ended;
      expect(code, err).toBe(130);
      expect(err).toMatch(/was stopped after step \d+\. Resume with:\n.*--ranks 2 --resume/);
      expect(ranksIn('stopped')).toEqual([]);
      const step = stepOf('stopped');
      const until = (last: number): string[] => [...flags, '--set', `optim.max_steps=${last}`];
      const one = start([...command, ...lora('stopped', ...flags, '--resume')]);
      while (stepOf('stopped') === step) await delay(20);
      one.child.kill('SIGINT');
      await one.ended;
      const last = stepOf('stopped') + 2;
      await completed(...command, ...lora('stopped', ...until(last), '--resume', '--ranks', '4'));
      await completed(...command, ...lora('whole', ...until(last)));
      expect(adapterOf('stopped')).toBe(adapterOf('whole'));
    },
    PROCESSES_MS,
  );

  it('end when their launcher is killed', async () => {
    const { ended } = start([
      ...[openMpi!, '-n', '2', ...program],
      ...withoutTune(lora('orphans', '--epochs', '400', '--quiet')),
    ]);
    await firstCheckpoint('orphans');
    const launcher = ranksIn('orphans')[0]!;
    const parent = Number(
      /PPid:\s*(\d+)/.exec(readFileSync(`/proc/${launcher}/status`, 'utf8'))![1],
    );
    process.kill(parent, 'SIGKILL');
    await ended;
    for (let waited = 0; ranksIn('orphans').length > 0 && waited < 100; waited += 1)
      await delay(100);
    expect(ranksIn('orphans')).toEqual([]);
  });

  it('end with what rank 0 refuses while the others wait, and say it once', async () => {
    mkdirSync(join(llama.folder, 'full'));
    writeFileSync(join(llama.folder, 'full/file'), '');
    const words = lora('full', '--epochs', '1', '--ranks', '3');
    const { code, err } = await start([...command, ...words]).ended;
    expect(code).toBe(1);
    expect(err.match(/^error .*$/gm)).toEqual([
      expect.stringContaining('error PEFT_FOLDER_NOT_EMPTY'),
    ]);
  });
});
