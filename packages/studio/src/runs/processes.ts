/** The processes of runs on this machine. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { PeftError } from '@peft/errors';
import type { RunDetails } from '../api-types.js';
import type { RunRecord } from '@peft/trainer';

const run = promisify(execFile);

/**
 * Asks a run to stop after the present step, with a checkpoint. A record may be a stranger's, and a
 * number may have gone to another process: only one that looks like a fit is asked.
 * @throws PEFT_STUDIO_PROCESS
 */
export async function stopRun({ processId, state }: RunRecord): Promise<void> {
  const words = state === 'running' ? await commandOf(processId) : undefined;
  if (words === undefined || !/\bfit\b/.test(words) || processId === process.pid)
    throw new PeftError('PEFT_STUDIO_PROCESS', 'studio: no process of that run is found here.', {
      hint: 'it has ended, or runs on another machine: stop it there with Ctrl-C',
    });
  process.kill(processId, 'SIGTERM');
}

/** The command line of a process; undefined where there is none. */
async function commandOf(processId: number): Promise<string | undefined> {
  if (!Number.isSafeInteger(processId) || processId <= 1) return undefined;
  try {
    if (process.platform === 'linux')
      return (await readFile(`/proc/${processId}/cmdline`, 'utf8')).replaceAll('\0', ' ');
    if (process.platform === 'win32')
      return (
        await run('powershell', [
          '-NoProfile',
          '-Command',
          `(Get-CimInstance Win32_Process -Filter 'ProcessId=${processId}').CommandLine`,
        ])
      ).stdout;
    return (await run('ps', ['-p', String(processId), '-o', 'command='])).stdout;
  } catch {
    return undefined;
  }
}

/** Memory of a process on Linux; elsewhere it is known when the run has ended. */
export async function memoryOf(
  processId: number,
): Promise<Pick<RunDetails, 'residentBytes' | 'peakResidentBytes'>> {
  try {
    const status = await readFile(`/proc/${processId}/status`, 'utf8');
    const kilobytes = (name: string): number | undefined => {
      const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
      return found === undefined ? undefined : Number(found) * 1024;
    };
    return { residentBytes: kilobytes('VmRSS'), peakResidentBytes: kilobytes('VmHWM') };
  } catch {
    return {};
  }
}
