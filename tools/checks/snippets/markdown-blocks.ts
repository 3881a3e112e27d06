/** The fenced blocks of the repository's pages. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../packages.mjs';

export interface Block {
  /** `README.md:12`, where it opens. */
  readonly place: string;
  readonly page: string;
  /** What follows the fence; empty for plain text. */
  readonly language: string;
  readonly code: string;
}

/** Pages that a reader is sent to: all but release notes and dated measurements. */
export const pages = (): string[] =>
  execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.md'], {
    cwd: ROOT,
    encoding: 'utf8',
  })
    .split('\n')
    .filter((page) => page && !/^\.changeset\/|CHANGELOG\.md$|^benchmarks\/results\//.test(page));

/** Every fenced block of a page, indented ones of lists included. */
export function blocksOf(page: string): Block[] {
  const lines = readFileSync(join(ROOT, page), 'utf8').split('\n');
  const blocks: Block[] = [];
  for (let i = 0; i < lines.length; i += 1) {
    const opened = /^( *)```(\S*)/.exec(lines[i]!);
    if (!opened) continue;
    const [, indent, language] = opened;
    const start = i + 1;
    do i += 1;
    while (i < lines.length && lines[i]!.trim() !== '```');
    const code = lines.slice(start, i).map((line) => line.slice(indent!.length));
    blocks.push({
      place: `${page}:${start}`,
      page,
      language: language!,
      code: `${code.join('\n')}\n`,
    });
  }
  return blocks;
}
