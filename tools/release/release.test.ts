/** A release, made in a copy of the repository's manifests, notes and READMEs. */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageFolders, ROOT } from '../packages.mjs';

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** `0.12.3` as three numbers. */
const numbersOf = (version: string): number[] => version.split('.').map(Number);
const isLater = (a: string, b: string): boolean =>
  numbersOf(a).reduce((found, n, i) => found || n - numbersOf(b)[i]!, 0) > 0;
/** Of the two kinds of ranges that the manifests have: `^0.2.0` and `>=0.1.0 <1`. */
function satisfies(version: string, range: string): boolean {
  const [, from] = /^(?:\^|>=)([\d.]+)/.exec(range) ?? [];
  if (from === undefined || isLater(from, version)) return false;
  const [major, minor] = numbersOf(version);
  return range.startsWith('^') ? minor === numbersOf(from)[1] : major === 0;
}

let copy: string;
const run = (program: string, ...words: string[]): string =>
  execFileSync(program, words, { cwd: copy, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const commit = (): void => {
  run('git', 'add', '-A');
  run('git', '-c', 'user.name=n', '-c', 'user.email=n@localhost', 'commit', '-qm', 'Change');
};
const changesetVersion = (): string =>
  run(process.execPath, 'node_modules/@changesets/cli/bin.js', 'version');
const manifests = (): Manifest[] =>
  packageFolders(copy).map(
    (folder) => JSON.parse(readFileSync(join(copy, folder, 'package.json'), 'utf8')) as Manifest,
  );
const versions = (): Record<string, string> =>
  Object.fromEntries(manifests().map(({ name, version }) => [name, version]));
const writeNote = (name: string, bump: string): void =>
  writeFileSync(join(copy, '.changeset/a-note.md'), `---\n'${name}': ${bump}\n---\n\nA change.\n`);

let before: Record<string, string>;
beforeAll(() => {
  copy = realpathSync(mkdtempSync(join(tmpdir(), 'peft-release-')));
  const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
    .split('\n')
    .filter((file) => /^\.changeset\/|(^|\/)(package\.json|README\.md)$/.test(file))
    .filter((file) => !file.includes('/fixtures/') && existsSync(join(ROOT, file)));
  for (const file of files) {
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    cpSync(join(ROOT, file), join(copy, file));
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  writeFileSync(join(copy, '.gitignore'), 'node_modules\n');
  run('git', 'init', '-q', '-b', 'main');
  commit();
  before = versions();
  // a repository without notes, just after a release, has one to make, too
  writeNote('@peft/errors', 'patch');
  changesetVersion();
  commit();
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

describe('a release of what waits', () => {
  test('gives each package that changed a version of its own, and a changelog that begins with it', () => {
    for (const folder of packageFolders(copy)) {
      const { name, version } = JSON.parse(
        readFileSync(join(copy, folder, 'package.json'), 'utf8'),
      ) as Manifest;
      if (version === before[name]) continue;
      expect(isLater(version, before[name]!), name).toBe(true);
      const changelog = readFileSync(join(copy, folder, 'CHANGELOG.md'), 'utf8');
      expect(changelog.split('\n').slice(0, 3), name).toEqual([`# ${name}`, '', `## ${version}`]);
    }
    expect(versions()).not.toEqual(before);
  });

  test('makes no package leap to 1.0.0 because a peer of it was released', () => {
    for (const { name, version } of manifests()) expect(numbersOf(version)[0], name).toBe(0);
  });

  test('leaves ranges that the versions beside them satisfy', () => {
    const now = versions();
    for (const { name, dependencies, peerDependencies, optionalDependencies } of manifests())
      for (const [dependency, range] of Object.entries({
        ...dependencies,
        ...peerDependencies,
        ...optionalDependencies,
      }))
        if (now[dependency])
          expect(
            satisfies(now[dependency], range),
            `${name} wants ${dependency} ${range}, which is ${now[dependency]}`,
          ).toBe(true);
  });

  test('packs a tarball of each, with its changelog', () => {
    const folders = packageFolders(copy).filter((folder) =>
      existsSync(join(copy, folder, 'CHANGELOG.md')),
    );
    const packed = Object.values(
      JSON.parse(
        run('npm', 'pack', '--json', '--ignore-scripts', ...folders.map((place) => `./${place}`)),
      ) as Record<string, { name: string; version: string; files: { path: string }[] }>,
    );
    expect(Object.fromEntries(packed.map(({ name, version }) => [name, version]))).toEqual(
      Object.fromEntries(
        Object.entries(versions()).filter(([name]) => packed.some((each) => each.name === name)),
      ),
    );
    expect(packed).toHaveLength(folders.length);
    for (const { name, files } of packed)
      expect(
        files.map(({ path }) => path),
        name,
      ).toContain('CHANGELOG.md');
    rmSync(join(copy, '.changeset/a-note.md'), { force: true });
    run('git', 'clean', '-qfd');
  });
});

describe('after it', () => {
  const bumped = (name: string, bump: string): string[] => {
    const old = versions();
    writeNote(name, bump);
    changesetVersion();
    const changed = Object.entries(versions())
      .filter(([each, version]) => version !== old[each])
      .map(([each]) => each);
    run('git', 'checkout', '-q', '.');
    run('git', 'clean', '-qfd');
    return changed;
  };

  test('a change of one method bumps that method alone', () => {
    expect(bumped('@peft/ia3', 'patch')).toEqual(['@peft/ia3']);
  });

  test('a method that breaks its range takes along who depends on it, and no other method', () => {
    const dependents = manifests()
      .filter(({ dependencies }) => dependencies?.['@peft/ia3'] !== undefined)
      .map(({ name }) => name);
    expect(dependents).toContain('@peft/methods');
    expect(bumped('@peft/ia3', 'minor').sort()).toEqual(['@peft/ia3', ...dependents].sort());
  });

  test('core can grow without a new version of each method', () => {
    const changed = bumped('@peft/core', 'minor');
    expect(changed).toContain('@peft/core');
    expect(changed.filter((name) => name === '@peft/lora' || name === '@peft/vera')).toEqual([]);
  });
});
