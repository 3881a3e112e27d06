/** What the memory plan says of this engine, beside what TensorFlow and its process hold. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { describeCountedRuns } from './describe-counted-runs.js';
import { missingLibrary } from './missing-library.js';
import { RUNS } from './planned-run.js';

const reason = missingLibrary();
/** The C library keeps some of what was freed, and Node's heap comes and goes. */
const TOLERANCE = 0.15;

describeCountedRuns('with the kernels that the setup compiles', true);

describe.skipIf(reason)(
  `a plan of a process with TensorFlow${reason ? ` (skipped: ${reason})` : ''}`,
  () => {
    test.each(RUNS.slice(0, 3).map((run, number) => [run.title, number] as const))(
      'is near to what it takes for %s',
      async (_title, number) => {
        const child = fileURLToPath(new URL('planned-run.ts', import.meta.url));
        const { stdout } = await promisify(execFile)(process.execPath, [
          '--conditions=@peft/source',
          '--import',
          'tsx',
          child,
          String(number),
        ]);
        const { plannedPeakBytes, actualPeakBytes } = JSON.parse(
          stdout.trim().split('\n').at(-1)!,
        ) as { plannedPeakBytes: number; actualPeakBytes: number };
        expect(Math.abs(plannedPeakBytes / actualPeakBytes - 1)).toBeLessThan(TOLERANCE);
      },
    );
  },
);
