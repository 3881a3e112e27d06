/** Writes packages, by flags and by questions. That they compile is `packed-install`'s test. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createMethod, runCreateMethod } from '../src/index.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
let folder: string;
beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'peft-create-')));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const line = async (words: readonly string[], answers: readonly string[] = []) => {
  const printed = { out: '', err: '' };
  const questions: string[] = [];
  const code = await runCreateMethod(words, {
    out: (text) => void (printed.out += `${text}\n`),
    err: (text) => void (printed.err += `${text}\n`),
    ask: (question) => Promise.resolve(answers[questions.push(question) - 1]),
  });
  return { code, questions, ...printed };
};

describe('the packages that it writes', () => {
  test('have source, contract, README, changeset and settings, and no word of the template left', () => {
    const at = join(folder, 'my-linear');
    createMethod({ name: 'my-linear', kind: 'linear', folder: at });
    const files = (readdirSync(at, { recursive: true }) as string[])
      .filter((path) => /\.\w+$|^\.gitignore$/.test(path) && path !== '.changeset')
      .sort();
    expect(files).toEqual([
      '.changeset/config.json',
      '.changeset/first.md',
      '.gitignore',
      'README.md',
      'package.json',
      'src/index.ts',
      'src/my-linear.contract.test.ts',
      'src/my-linear.ts',
      'tsconfig.build.json',
      'tsconfig.json',
      'vitest.config.ts',
    ]);
    for (const file of files)
      expect(readFileSync(join(at, file), 'utf8'), file).not.toMatch(/\{\{|\}\}[^'`;)]/);
    const manifest = JSON.parse(readFileSync(join(at, 'package.json'), 'utf8')) as {
      name: string;
      peerDependencies: Record<string, string>;
    };
    expect(manifest.name).toBe('peft-my-linear');
    const { version } = JSON.parse(
      readFileSync(join(root, 'packages/core/package.json'), 'utf8'),
    ) as { version: string };
    expect(manifest.peerDependencies['@peft/core']).toBe(`^${version}`);
    expect(readFileSync(join(at, '.changeset/first.md'), 'utf8')).toContain(
      '"peft-my-linear": minor',
    );
  });
});

describe('npm create @peft/method', () => {
  test('asks nothing when it is told everything', async () => {
    const at = join(folder, 'told');
    const { code, questions, out } = await line([
      '--name',
      'my-method',
      '--kind',
      'norm',
      '--folder',
      at,
      '--package',
      '@me/my-method',
    ]);
    expect({ code, questions }).toEqual({ code: 0, questions: [] });
    expect(out).toContain('npm test');
    expect(JSON.parse(readFileSync(join(at, 'package.json'), 'utf8'))).toMatchObject({
      name: '@me/my-method',
    });
  });

  test('asks for the name and the kind', async () => {
    const at = join(folder, 'asked');
    const { code, questions } = await line(['--folder', at], ['my-method', 'sublayer']);
    expect(code).toBe(0);
    expect(questions).toHaveLength(2);
    expect(readFileSync(join(at, 'src/my-method.ts'), 'utf8')).toContain('sublayer(site');
  });

  test('says which flag is missing where nobody can answer', async () => {
    const { code, err } = await line([]);
    expect(code).toBe(2);
    expect(err).toContain('PEFT_OPTION_MISSING: create-method: --name is needed.');
  });

  test('leaves a folder alone that is not empty', async () => {
    const at = join(folder, 'taken');
    mkdirSync(at);
    writeFileSync(join(at, 'notes.txt'), 'mine');
    const { code, err } = await line(['--name', 'my-method', '--kind', 'linear', '--folder', at]);
    expect(code).toBe(1);
    expect(err).toContain('PEFT_FOLDER_NOT_EMPTY');
    expect(readdirSync(at)).toEqual(['notes.txt']);
  });

  test.for([
    [['--name', 'MyMethod'], 'lower-case words joined by hyphens, got "MyMethod"'],
    [['--name', 'delete'], '"delete" is taken'],
    [
      ['--name', 'my-method', '--kind', 'conv'],
      'the kind must be one of linear, norm, embedding, attention, sublayer, sequence, parameter, got "conv"',
    ],
    [['--name', 'my-method', '--package', 'My Package'], '"My Package" is no name for a package'],
    [['--nmae', 'x'], "Unknown option '--nmae'"],
  ] as const)('refuses %j', async ([words, message]) => {
    const { code, err } = await line(words);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });

  test('--help lists the flags', async () => {
    const { code, out } = await line(['--help']);
    expect(code).toBe(0);
    for (const flag of ['--name', '--kind', '--folder', '--package']) expect(out).toContain(flag);
  });
});
