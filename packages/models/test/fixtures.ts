/** The model folders that the tests of this package run. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const FIXTURES = fileURLToPath(new URL('../../testing/fixtures', import.meta.url));

export const modelFolders: readonly string[] = readdirSync(join(FIXTURES, 'models'), {
  withFileTypes: true,
})
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

export const readConfigJson = (folder: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(FIXTURES, folder, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
