/**
 * A run with paged optimiser state whose machine fails after the checkpoint of step 4:
 * `fail-in-child.ts FOLDER full|memory`. Prints the code and the message of what ended it. The
 * limits are set on the process itself, by `prlimit`.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { train, type BatchOrder } from '../src/index.js';
import { pagedRun } from './paged-run.js';
import { tinyModel } from './tiny-run.js';

const [folder, failure] = process.argv.slice(2) as [string, 'full' | 'memory'];
const { request } = pagedRun(await tinyModel(), folder);
request.bus!.listen((event) => {
  if (event.type !== 'checkpoint/saved' || event.step !== 4) return;
  if (failure === 'full')
    limit('fsize', 4096); // writing a page at or behind it fails as on a full disk
  else limit('data', dataBytes() + 2 ** 26);
});
/** As planned, but for a step that needs hundreds of megabytes. */
const huge: BatchOrder = {
  ...request.order,
  batches: (epoch) =>
    request.order
      .batches(epoch)
      .map((parts, i) =>
        failure === 'memory' && epoch === 0 && i === 5
          ? [Int32Array.from({ length: 30_000 }, (_, n) => n % 24)]
          : parts,
      ),
};

try {
  await train({ ...request, order: huge });
  process.stdout.write('nothing failed\n');
} catch (error) {
  process.stdout.write(`${(error as { code: string }).code}\n${(error as Error).message}\n`);
}

function limit(resource: string, value: number): void {
  const { status, stderr } = spawnSync(
    'prlimit',
    ['--pid', String(process.pid), `--${resource}=${value}:${value}`],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(stderr);
}

function dataBytes(): number {
  return Number(/^VmData:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024;
}
