import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { importCircles } from './import-circles.mjs';

let folder: string;
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function circlesOf(files: Readonly<Record<string, string>>): string[][] {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'peft-circles-')));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return importCircles(folder).map(({ circle }) => circle.map((file) => relative(folder, file)));
}

test('names a circle of types alone, through a folder', () => {
  expect(
    circlesOf({
      'a.ts': "import { b } from './rooms/b.js';\nexport interface A {}",
      'rooms/b.ts': "import type { A } from '../a.js';\nexport const b = 1;",
      'c.ts': "export { b } from './rooms/b.js';",
    }),
  ).toEqual([['a.ts', 'rooms/b.ts', 'a.ts']]);
});

test('names the shortest circle of each tangle', () => {
  expect(
    circlesOf({
      'a.ts': "import './b.js';",
      'b.ts': "import './c.js';",
      'c.ts': "import './a.js';\nimport './d.js';",
      'd.ts': "const c = await import('./c.js');",
      'e.ts': "export * from './f.mjs';",
      'f.mts': "import {\n  e,\n} from './e.js';",
    }),
  ).toEqual([
    ['c.ts', 'd.ts', 'c.ts'],
    ['e.ts', 'f.mts', 'e.ts'],
  ]);
});

test('passes over comments, packages and diamonds', () => {
  expect(
    circlesOf({
      'a.ts': "import './b.js';\nimport './c.js';\nimport 'rxjs';",
      'b.ts': "import './d.js';\n// import './a.js';",
      'c.ts': "import './d.js';\n/** import './a.js'; */",
      'd.ts': '',
    }),
  ).toEqual([]);
});
