import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { mpich, openMpi, runRanks } from './mpirun.js';

const addon = fileURLToPath(new URL('../build/Release/peft_mpi.node', import.meta.url));
const isCompiled = existsSync(addon);
const isLong = process.env['PEFT_LONG_TESTS'] === '1';

/** Two ranks are tried wherever they can be, more with `PEFT_LONG_TESTS=1`. */
const jobs = [
  { name: 'Open MPI', launcher: openMpi, sizes: isLong ? [1, 2, 4] : [2] },
  { name: 'MPICH', launcher: isLong ? mpich : undefined, sizes: [1, 2, 3, 4] },
];
const missing = jobs.filter(({ launcher }) => !launcher).map(({ name }) => name);
if (!isCompiled) console.log('not tried: the addon of @peft/mpi is not compiled');
else if (missing.length) console.log(`not tried here: ranks on ${missing.join(' and ')}`);

interface Report {
  readonly rank: number;
  readonly version: string;
}

for (const { name, launcher, sizes } of jobs)
  describe.skipIf(!isCompiled || !launcher)(`ranks on ${name}`, () => {
    it.each(sizes)('do every operation: %i', async (size) => {
      const { stdout, stderr, code } = await runRanks(launcher!, size, 'every-operation.ts');
      expect(code, stderr).toBe(0);
      const reports = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Report)
        .sort((a, b) => a.rank - b.rank);
      expect(reports.map(({ rank }) => rank)).toEqual([...Array(size).keys()]);
      for (const { version, ...report } of reports) {
        expect(version).toContain(name);
        expect(report).toEqual(expected(report.rank, size));
      }
    });

    it.each(isLong ? ['throw', 'kill', 'abort', 'exit'] : ['throw', 'kill'])(
      'end when one of them does: %s',
      async (how) => {
        const run = await runRanks(launcher!, 2, 'failing-rank.ts', { words: [how] });
        expect(run.code).not.toBe(0);
        expect(run.durationMs).toBeLessThan(20_000);
        if (how === 'throw') expect(run.stderr).toContain('rank 1 has had enough');
      },
    );
  });

/** What a rank has that brings 10·rank, 10·rank + 1 … */
function expected(rank: number, size: number): object {
  const ranks = [...Array(size).keys()];
  const sum = (i: number): number => ranks.reduce((total, r) => total + 10 * r + i, 0);
  const left = (rank + size - 1) % size;
  return {
    rank,
    size,
    localRank: rank,
    localSize: size,
    isLoopFree: rank > 0 || size === 1 || expect.any(Boolean),
    broadcast: [0, 1, 2].map((i) => 10 * (size - 1) + i),
    sum: [0, 1, 2].map(sum),
    max: [size - 1, 0],
    min: [0, 1 - size],
    view: [sum(0) / 10, sum(0) / 10],
    gathered: ranks.flatMap((r) => [10 * r, 10 * r + 1]),
    scattered: [sum(2 * rank), sum(2 * rank + 1)],
    received: [10 * left, 10 * left + 1],
    large: Math.fround(10 * left + 1e6 - 1),
    channels: [10 * left, 10 * left],
    problem: 'PEFT_MPI_ARGUMENT',
    short: `mpi: receive failed: rank ${left} sent 2 numbers, 3 were expected.
  hint: look at what the other ranks say, and at the network between the machines`,
  };
}

describe.skipIf(!isCompiled)('a process without a launcher', () => {
  const connect = (environment: Record<string, string>): string =>
    spawnSync(
      process.execPath,
      [
        ...['--conditions=@peft/source', '--import', import.meta.resolve('tsx')],
        fileURLToPath(new URL('connect.ts', import.meta.url)),
      ],
      { encoding: 'utf8', env: { ...process.env, ...environment } },
    ).stdout.trim();

  it('hears that there is no library, and what to install', () => {
    const told = connect({ PEFT_MPI_LIBRARY: 'libmpi-of-nobody.so' });
    expect(told).toMatch(/^PEFT_MPI_MISSING mpi: there is no MPI library here: libmpi-of-nobody/);
    expect(told).toContain('apt-get install openmpi-bin');
  });

  it.skipIf(process.platform !== 'linux')('hears that a library is none of MPI', () => {
    expect(connect({ PEFT_MPI_LIBRARY: 'libm.so.6' })).toMatch(
      /^PEFT_MPI_LIBRARY mpi: libm.so.6 cannot be used: it has no MPI_Get_library_version/,
    );
  });

  it('hears that the addon is missing, and how to compile it', () => {
    expect(connect({ PEFT_MPI_ADDON: '/nowhere/peft_mpi.node' })).toMatch(
      /^PEFT_MPI_UNAVAILABLE mpi: there is no compiled addon .*node-gyp rebuild/s,
    );
  });

  it.skipIf(!openMpi)('hears that its launcher is of another MPI', () => {
    // as the launcher of MPICH would have it
    expect(connect({ PMI_SIZE: '2', PEFT_MPI_LIBRARY: 'libmpi.so.40' })).toMatch(
      /^PEFT_MPI_SINGLE mpi: MPICH's mpiexec started 2 ranks, and Open MPI .* sees only this one/,
    );
  });
});
