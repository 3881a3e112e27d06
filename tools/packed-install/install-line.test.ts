import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../packages.mjs';
import { importedPackages, installLine } from './install-line.js';
import { publishedFolders, readManifest } from './pack.js';

/** `npm create` installs it. */
const WITHOUT_LINE = ['@peft/create-method'];

describe.each(publishedFolders(ROOT))('%s/README.md', (folder) => {
  const { name } = readManifest(join(ROOT, folder));
  const names = installLine(ROOT, folder);

  test('begins with the line that installs the package', () => {
    expect(existsSync(join(ROOT, folder, 'README.md'))).toBe(true);
    if (WITHOUT_LINE.includes(name)) return;
    expect(names).toContain(name === '@peft/tensorflow-setup' ? '@peft/cli' : name);
  });

  test('installs with it what its examples import', () => {
    expect(importedPackages(ROOT, folder).filter((each) => !names.includes(each))).toEqual([]);
  });
});
