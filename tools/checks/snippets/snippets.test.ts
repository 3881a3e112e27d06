/**
 * Every fenced block of README, docs and the packages' pages is checked: TypeScript by the
 * compiler, commands against scripts, files and `--help`, JSON and YAML by their parsers. A block
 * in any other language has to say that it is plain text.
 */
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { blocksOf, pages } from './markdown-blocks.js';
import { commandsOf, faultOf } from './shell-commands.js';
import { typeCheckBlocks } from './type-check-blocks.js';

const blocks = pages().flatMap(blocksOf);
const inLanguage = (...languages: string[]) =>
  blocks.filter(({ language }) => languages.includes(language));

test('every block names a language that is checked, or is text', () => {
  const languages = ['ts', 'sh', 'json', 'yaml', 'text', ''];
  expect(
    blocks.filter(({ language }) => !languages.includes(language)).map(({ place }) => place),
  ).toEqual([]);
});

test('TypeScript compiles', () => {
  expect(Object.fromEntries(typeCheckBlocks(inLanguage('ts')))).toEqual({});
});

describe('commands would be understood', () => {
  test.each(inLanguage('sh').map((block) => [block.place, block] as const))('%s', (_, block) => {
    const faults = commandsOf(block.code).flatMap((words) => faultOf(words) ?? []);
    expect(faults).toEqual([]);
  });
});

test('JSON and YAML parse', () => {
  for (const { code } of inLanguage('json')) JSON.parse(code);
  for (const { code } of inLanguage('yaml')) parseYaml(code);
});

test('commands are read as a shell reads them', () => {
  expect(
    commandsOf('npm ci && npm test   # all\nA=1 peft fit \'a b\' \\\n  --x "c" | cat'),
  ).toEqual([['npm', 'ci'], ['npm', 'test'], ['peft', 'fit', 'a b', '--x', 'c'], ['cat']]);
  expect(faultOf(['npm', 'run', 'nothing'])).toBe('package.json has no script nothing');
  expect(faultOf(['npx', 'peft', 'fti'])).toBe('peft has no command fti');
  expect(faultOf(['npx', 'peft', 'fit', '--labl', 'x'])).toBe('peft fit has no option --labl');
  expect(faultOf(['npm', 'i', '@peft/lra'])).toBe('no package is called @peft/lra');
});
