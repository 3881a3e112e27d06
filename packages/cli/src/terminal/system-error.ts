/** What the operating system refused, in words for whoever typed the command. */
import { basename, dirname } from 'node:path';

interface Refusal {
  readonly problem: string;
  readonly hint: string;
}

const NOT_ALLOWED: Refusal = {
  problem: 'permission denied',
  hint: 'change its permissions, or name another place',
};

const REFUSALS: Readonly<Record<string, Refusal>> = {
  EACCES: NOT_ALLOWED,
  EPERM: NOT_ALLOWED,
  EROFS: { problem: 'the file system is read-only', hint: 'name a place on another one' },
  ENOSPC: { problem: 'the disk is full', hint: 'make room, or name a place on another disk' },
  EDQUOT: { problem: 'the disk quota is used up', hint: 'make room, or name a place elsewhere' },
  ENOENT: { problem: 'there is no such file or folder', hint: 'check its name' },
  ENOTDIR: { problem: 'a part of the path is a file', hint: 'name another place' },
  EEXIST: { problem: 'it exists already', hint: 'name another place, or remove it' },
  EISDIR: { problem: 'it is a folder', hint: 'name a file' },
  EMFILE: {
    problem: 'too many files are open',
    hint: 'raise the limit of open files (ulimit -n)',
  },
};

/** What files are called until they are complete: `.NAME.PROCESS-HEX.tmp`. */
const INCOMPLETE = /^\.(.+)\.\d+-[\da-f]{8}\.tmp$/;

/** The refusal in words, with the path that it is about; undefined for another kind of error. */
export function systemError(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  const refusal = code === undefined || syscall === undefined ? undefined : REFUSALS[code];
  if (!refusal) return undefined;
  const told = `${refusal.problem}.\n  hint: ${refusal.hint}`;
  if (path === undefined) return `${syscall}: ${told}`; // of a file that is open
  return `${INCOMPLETE.test(basename(path)) ? dirname(path) : path}: ${told}`;
}
