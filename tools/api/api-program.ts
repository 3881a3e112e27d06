/** The compiler's view of entry points, for declarations and docstrings. */
import { join } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../packages.mjs';

/** @param entries source files, absolute. */
export function apiProgram(entries: readonly string[]): ts.Program {
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(join(ROOT, 'tsconfig.base.json'), (path) => ts.sys.readFile(path)).config,
    ts.sys,
    ROOT,
  );
  return ts.createProgram(entries, {
    ...options,
    customConditions: ['@peft/source'],
    declaration: true,
    emitDeclarationOnly: true,
    removeComments: true,
    noEmit: false,
    sourceMap: false,
    inlineSources: false,
    rootDir: ROOT,
    outDir: ROOT,
  });
}
