import { join } from 'node:path';
import { expect, test } from 'vitest';
import { folderOf, ROOT } from '../packages.mjs';
import { apiProgram } from './api-program.js';
import { publicDeclarations } from './public-declarations.js';

test('an entry point is reported name by name, without comments, bodies and private members', () => {
  const entry = join(ROOT, folderOf('errors'), 'src/index.ts');
  const report = publicDeclarations(apiProgram([entry]), [entry]).get(entry)!;
  expect(report).toContain('export declare function show(value: unknown): string;');
  expect(report).toMatch(/^export declare class PeftError extends Error \{$/m);
  expect(report).toContain('    readonly code: string;');
  expect(report).not.toMatch(/\/\*\*|private/);
  const names = [...report.matchAll(/^export declare (?:class|const|function) (\w+)/gm)].map(
    ([, name]) => name!,
  );
  expect(names).toEqual([...names].sort((a, b) => (a < b ? -1 : 1)));
});
