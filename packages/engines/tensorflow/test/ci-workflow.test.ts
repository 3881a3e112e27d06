/**
 * The commands of `.github/workflows/tensorflow.yml` exist and would be understood, and
 * docs/ci-tensorflow.md has the same ones.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../../..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const workflow = read('.github/workflows/tensorflow.yml');
const lines = [...workflow.matchAll(/^ +- run: (.+)$/gm)].map(([, line]) => line!);
/** `a && b || c` as three, each as words. */
const commands = lines
  .flatMap((line) => line.split(/\s*(?:&&|\|\|)\s*/))
  .map((command) =>
    [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!),
  );
const flagsOf = (words: readonly string[]): string[] =>
  words.filter((word) => word.startsWith('--') && word !== '--');
const help = (...words: string[]): string =>
  execFileSync(process.execPath, [...words, '--help'], { cwd: root, encoding: 'utf8' });

/** Throws unless the command is one that this repository has. */
const CHECKS: Readonly<Record<string, (words: readonly string[]) => void>> = {
  test: ([flag, path]) =>
    expect([flag, path]).toEqual(['-f', '~/.cache/peft/tensorflow/current.json']),
  node: ([file, ...words]) => {
    expect(existsSync(join(root, file!)), file).toBe(true);
    const known = help(file!, words[0]!);
    expect(known).toContain(`peft ${words[0]}`);
    for (const flag of flagsOf(words)) expect(known).toMatch(new RegExp(`${flag}\\b`));
  },
  npx: ([program, verb, ...paths]) => {
    expect([program, verb]).toEqual(['vitest', 'run']);
    for (const path of paths) expect(existsSync(join(root, path)), path).toBe(true);
  },
  npm: ([verb, name, ...words]) => {
    if (verb === 'ci') return expect(existsSync(join(root, 'package-lock.json'))).toBe(true);
    expect(verb).toBe('run');
    const script = (JSON.parse(read('package.json')) as { scripts: Record<string, string> })
      .scripts[name!];
    expect(script, name).toMatch(/^node /);
    const known = help(...script!.split(' ').slice(1));
    for (const flag of flagsOf(words)) expect(known).toContain(flag);
    expect(known).toContain(words[words.indexOf('--engine') + 1]);
    const fixtures = readdirSync(join(root, words[words.indexOf('--fixtures') + 1]!));
    expect(
      fixtures.filter((folder) => new RegExp(words[words.indexOf('--only') + 1]!).test(folder)),
    ).toEqual(['adapters', 'models']);
  },
};

describe('the workflow', () => {
  test('has one-line commands only, so that all of them are seen', () => {
    expect(workflow.match(/\brun:/g)).toHaveLength(lines.length);
    expect(lines.length).toBeGreaterThan(3);
  });

  test.each(commands.map((words) => [words.join(' '), words] as const))(
    'can run: %s',
    (_line, [program, ...words]) => {
      expect(Object.keys(CHECKS)).toContain(program);
      CHECKS[program!]!(words);
    },
  );

  test('keeps a setup until its version or its sources change', () => {
    const [, version] = /DEFAULT_TENSORFLOW = '([\d.]+)'/.exec(
      read('packages/tensorflow-setup/src/setup-options.ts'),
    )!;
    expect(workflow).toContain(`key: tensorflow-${version}-cpu-`);
    for (const [, folder] of workflow.matchAll(/'([\w/]+)\/\*\*'/g))
      expect(existsSync(join(root, folder!)), folder).toBe(true);
  });

  test('is what its page says', () => {
    const page = read('docs/ci-tensorflow.md');
    expect(page).toContain('.github/workflows/tensorflow.yml');
    expect(/```sh\n([\s\S]*?)```/.exec(page)![1]!.trim().split('\n')).toEqual(lines);
  });
});
