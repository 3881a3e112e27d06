/** What a case of everyday trouble is, and what its judge says. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface CaseFolder {
  readonly folder: string;
  /** Folder of the golden models, by name below it. */
  readonly models: string;
}

/** Throws when the case goes wrong; returns what was seen, or what cannot be judged here. */
export type Judge = (given: CaseFolder) => Promise<string | NotJudged>;

/** A case that nobody here can judge, and why. */
export interface NotJudged {
  readonly why: string;
}

/** @throws Error when it does not hold */
export function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** Files of a folder that end so. */
export const filesOf = (folder: string, ...endings: readonly string[]): string[] =>
  readdirSync(folder)
    .filter((name) => endings.some((ending) => name.endsWith(ending)))
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());

/** Folders in a folder that hold a checkpoint's configuration. */
export const modelsIn = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(folder, name))
    .filter((path) => filesOf(path, 'config.json').length > 0);

/** Lines of a text file that are not empty, whatever ends them. */
export const linesOf = (path: string): string[] =>
  readFileSync(path, 'utf8')
    .split(/\r\n|\n|\r/)
    .filter((line) => line !== '');

/** Calls with a folder that is removed afterwards. */
export async function withScratch<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'peft-case-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
