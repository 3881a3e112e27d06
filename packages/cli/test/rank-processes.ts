/** Processes that are ranks of a fit. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openMpi } from '../../mpi/test/mpirun.js';
import { root } from './processes.js';
import type { TinyLlama } from './tiny-llama.js';

/** Ranks load everything from source, on a machine that may be busy. */
export const PROCESSES_MS = 600_000;

/** Whether this machine has what fits on ranks need: Open MPI and the addon of `@peft/mpi`. */
export const canRunRanks =
  openMpi !== undefined && existsSync(join(root, 'packages/mpi/build/Release/peft_mpi.node'));

/** A fit of steps of 3, 3 and 2 rows, a row at a time; `output` is in the model's folder. */
export const rankFit = (
  { folder, path, chats }: TinyLlama,
  output: string,
  ...further: readonly string[]
): string[] => [
  ...['fit', chats, '--task', 'causal-lm', '--model', path, '--tune', chats],
  ...['--batch-size', '3', '--engine', 'portable', '--output', resolve(folder, output)],
  ...['--set', 'env.per_gpu_batch_size=1', 'model.hf_text.max_text_len=48', 'optim.lr=1e-2'],
  ...further,
];

/** Of the adapter that a fit wrote. */
export const adapterHash = (output: string): string =>
  createHash('sha256')
    .update(readFileSync(join(output, 'adapter/adapter_model.safetensors')))
    .digest('hex');

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
