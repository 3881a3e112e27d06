import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makePlatformPackage, PLATFORMS, platformDependencies } from './native-release.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const addon = join(root, 'packages/engines/native/build/Release/peft_native.node');
const mpiAddon = join(root, 'packages/mpi/build/Release/peft_mpi.node');
let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'peft-release-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const foreign = (names: readonly string[]) => {
  const file = join(folder, 'some.node');
  writeFileSync(file, 'an addon of another system');
  for (const name of names) {
    const [platform, arch] = name.split('-') as [string, string];
    if (platform !== process.platform || arch !== process.arch)
      makePlatformPackage(folder, { platform, arch, addon: file, mpiAddon: file });
  }
};
const own = `${process.platform}-${process.arch}`;
const { version } = JSON.parse(
  readFileSync(join(root, 'packages/engines/native/package.json'), 'utf8'),
) as { version: string };

test('a release names one package for each platform, at the version of @peft/native', () => {
  foreign(PLATFORMS);
  const others = PLATFORMS.filter((name) => name !== own);
  expect(platformDependencies(folder, version, PLATFORMS.includes(own) ? [own] : [])).toEqual(
    Object.fromEntries(others.map((name) => [`@peft/native-${name}`, version])),
  );
});

test('a missing platform, a missing file and another version stop a release', () => {
  foreign(['darwin-arm64', 'win32-x64', 'darwin-x64', 'linux-arm64']);
  rmSync(join(folder, 'native-darwin-arm64'), { recursive: true });
  rmSync(join(folder, 'native-win32-x64/peft_native.node'));
  writeFileSync(
    join(folder, 'native-darwin-x64/package.json'),
    JSON.stringify({ name: '@peft/native-darwin-x64', version: '0.0.9' }),
  );
  expect(() =>
    platformDependencies(
      folder,
      version,
      [own].filter((name) => PLATFORMS.includes(name)),
    ),
  ).toThrow(
    /darwin-x64: version 0\.0\.9 instead of[^]*darwin-arm64: there is no[^]*win32-x64: peft_native\.node is missing/,
  );
  expect(() => platformDependencies(folder, version, ['linux-x46'])).toThrow(
    /linux-x46 is none of/,
  );
});

test.skipIf(!existsSync(addon) || !existsSync(mpiAddon))(
  'the package of this machine holds an addon that loads, and is for this machine only',
  () => {
    const made = makePlatformPackage(folder);
    const manifest = JSON.parse(readFileSync(join(made, 'package.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    const isWindows = process.platform === 'win32';
    expect(manifest).toMatchObject({
      name: `@peft/native-${own}`,
      version,
      os: [process.platform],
      cpu: [process.arch],
      main: 'peft_native.node',
      files: isWindows ? ['peft_native.node'] : ['peft_native.node', 'peft_mpi.node'],
    });
    expect(
      execFileSync(
        process.execPath,
        ['--print', `require(${JSON.stringify(made)}).info().threads > 0`],
        { encoding: 'utf8' },
      ).trim(),
    ).toBe('true');
  },
);

test('an addon that does not load is never packed', () => {
  const broken = join(folder, 'broken.node');
  writeFileSync(broken, 'nothing');
  expect(() => makePlatformPackage(folder, { addon: broken, mpiAddon: broken })).toThrow();
  expect(existsSync(join(folder, `native-${own}`))).toBe(false);
  expect(
    spawnSync(
      process.execPath,
      ['--import', 'tsx', join(root, 'tools/native/native-release.ts'), 'stmap'],
      { encoding: 'utf8' },
    ),
  ).toMatchObject({ status: 2, stderr: expect.stringContaining('say either') as string });
});
