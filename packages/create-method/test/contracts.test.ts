/** The contract of methods, as each kind of package that is written comes with it. */
import { mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, describe } from 'vitest';
import { createMethod, KINDS } from '../src/index.js';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'peft-contracts-')));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const modules = fileURLToPath(new URL('../../../node_modules', import.meta.url));
symlinkSync(modules, join(folder, 'node_modules'));

for (const kind of KINDS) {
  const name = `my-${kind}`;
  createMethod({ name, kind, folder: join(folder, name) });
  describe(`a package of kind ${kind}`, async () => {
    await import(pathToFileURL(join(folder, name, 'src', `${name}.contract.test.ts`)).href);
  });
}
