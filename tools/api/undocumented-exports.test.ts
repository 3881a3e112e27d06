import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { apiProgram } from './api-program.js';
import { undocumentedExports } from './undocumented-exports.js';

test('names what an entry point exports without a docstring, wherever it is declared', () => {
  const folder = mkdtempSync(join(tmpdir(), 'peft-docstrings-'));
  const entry = join(folder, 'index.ts');
  writeFileSync(
    join(folder, 'parts.ts'),
    '/** Said. */\nexport const said = 1;\nexport interface Silent {}\nexport const inner = 2;\n',
  );
  writeFileSync(
    entry,
    "export { said, type Silent } from './parts.js';\nexport function own(): void {}\n",
  );
  const names = undocumentedExports(apiProgram([entry]), entry).map((line) => line.split(' ')[1]);
  rmSync(folder, { recursive: true });
  expect(names.sort()).toEqual(['Silent', 'own']);
});
