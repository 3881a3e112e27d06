/** Reads the import statements of TypeScript files, type-only ones included. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** `import … from 'x'`, `export … from 'x'`, `import 'x'` */
const STATEMENT = /^\s*(?:import|export)\s+(?:[^'"`;]*?\sfrom\s+)?['"]([^'"\n]+)['"]/gm;
/** `import('x')` */
const CALL = /(?:^|[^\w.])import\(\s*['"]([^'"]+)['"]\s*\)/gm;

/** @param {string} folder @returns {Generator<string>} its TypeScript files, at any depth. */
export function* sourceFiles(folder) {
  for (const entry of readdirSync(folder)) {
    const path = join(folder, entry);
    if (statSync(path).isDirectory()) yield* sourceFiles(path);
    else if (/\.(ts|mts|mjs)$/.test(entry)) yield path;
  }
}

/** @param {string} file @returns {Generator<string>} what it imports or exports from, as written. */
export function* specifiersOf(file) {
  const text = readFileSync(file, 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '');
  for (const pattern of [STATEMENT, CALL])
    for (const [, specifier] of text.matchAll(pattern)) yield specifier;
}
