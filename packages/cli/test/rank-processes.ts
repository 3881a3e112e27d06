/** Processes that are ranks of a fit. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The step of the newest checkpoint of a fit's folder; 0 before the first. */
export function lastStep(output: string): number {
  const folder = join(output, 'checkpoints');
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return Math.max(0, ...names.map((name) => Number(/^checkpoint-(\d+)$/.exec(name)?.[1] ?? 0)));
}

/** Those that Open MPI started, by the folder that they write to. */
export const ranksOf = (output: string): number[] =>
  pids().filter((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      const variables = readFileSync(`/proc/${pid}/environ`, 'utf8');
      return words.includes(output) && /OMPI_COMM_WORLD_RANK/.test(variables);
    } catch {
      return false; // it has ended
    }
  });

/** A process and all below it. */
export function treeOf(root: number): number[] {
  const parents = new Map(pids().flatMap((pid) => [[pid, parentOf(pid)] as const]));
  const tree = [root];
  for (const above of tree)
    for (const [pid, parent] of parents) if (parent === above) tree.push(pid);
  return tree;
}

/** Whether a process is there, be it as a zombie. */
export const isThere = (pid: number): boolean => existsSync(`/proc/${pid}`);

const pids = (): number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0);

function parentOf(pid: number): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^PPid:\s*(\d+)/m.exec(status)?.[1]);
  } catch {
    return undefined;
  }
}
