/** The commands of a block of shell, and whether this repository has what they name. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { peft } from '../../../packages/cli/test/fake-terminal.js';
import { packageFolders, ROOT } from '../../packages.mjs';

/** Programs that start another; that one is looked at. */
const LAUNCHERS = ['mpirun', 'mpiexec', 'srun'];
/** The command without npx, which ends by signals that are the command's. */
const INSTALLED = 'node_modules/.bin/peft';
/** Programs of every machine; what follows them is theirs. */
const PLAIN = ['echo', 'printf', 'cd', 'mkdir', 'git', 'curl', 'test', 'apt-get', 'xcode-select'];

const scripts = (
  JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  }
).scripts;
const packageNames = packageFolders().map(
  (folder) =>
    (JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as { name: string }).name,
);

/** @returns commands as words: continuation lines joined, comments gone, `&&`, `||`, `|` and `;` cut. */
export function commandsOf(code: string): string[][] {
  return code
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .flatMap((line) => split(line))
    .filter((words) => words.length > 0);
}

function split(line: string): string[][] {
  const commands: string[][] = [[]];
  for (const [token, quoted, doubled] of line.matchAll(
    /'([^']*)'|"((?:[^"\\]|\\.)*)"|#.*$|&&|\|\||\||;|(?:[^\s'"|&;]|['"][^'"]*['"])+/g,
  )) {
    if (token.startsWith('#')) break;
    if (['&&', '||', '|', ';'].includes(token)) commands.push([]);
    else commands.at(-1)!.push(quoted ?? doubled ?? token);
  }
  return commands.map((words) => words.filter((word, i) => i > 0 || !/^[A-Z_]+=/.test(word)));
}

/** @returns what is wrong with a command; undefined where it would be understood. */
export function faultOf([program, ...words]: readonly string[]): string | undefined {
  if (program === undefined) return undefined;
  if (PLAIN.includes(program)) return undefined;
  if (LAUNCHERS.includes(program))
    return faultOf(
      words.slice(words.findIndex((word) => ['npx', 'node', INSTALLED].includes(word))),
    );
  if (program === 'npm') return npmFault(words);
  if (program === 'npx') return npxFault(words);
  if (program === 'node') return nodeFault(words);
  if (program === 'peft' || program === INSTALLED) return peftFault(words);
  if (/^\.?[\w-]*\/[\w./-]+$/.test(program)) return missing(program);
  return `${program} is no program that a reader has`;
}

function npmFault([verb, ...words]: readonly string[]): string | undefined {
  if (verb === 'ci' || verb === 'test' || verb === 'publish') return undefined;
  if (verb === 'create') {
    const [scope, name] = words[0]!.replace(/^@/, '').split('/');
    return known(`@${scope}/create-${name}`);
  }
  if (verb === 'run') {
    const [name] = words;
    return name! in scripts ? undefined : `package.json has no script ${name}`;
  }
  if (verb === 'i' || verb === 'install') {
    const names = words.filter((word) => !word.startsWith('-'));
    return names.map((name) => known(name)).find((fault) => fault !== undefined);
  }
  return `npm ${verb} is not known here`;
}

const known = (name: string): string | undefined =>
  !name.startsWith('@peft/') || packageNames.includes(name)
    ? undefined
    : `no package is called ${name}`;

function npxFault([program, ...words]: readonly string[]): string | undefined {
  if (program === 'peft') return peftFault(words);
  if (program === 'vitest')
    return words
      .slice(1)
      .filter((word) => word.includes('/'))
      .map(missing)
      .find((fault) => fault !== undefined);
  if (program === 'changeset' || program === 'tsc' || program === 'prettier') return undefined;
  if (program === 'peft-native-build') return undefined;
  return `npx ${program} is not known here`;
}

function nodeFault(words: readonly string[]): string | undefined {
  const files = words.filter((word) => /\.(mjs|ts|js)$/.test(word));
  const fault = files.map(missing).find((each) => each !== undefined);
  if (fault) return fault;
  return files[0]?.endsWith('peft.mjs') ? peftFault(words.slice(1)) : undefined;
}

const missing = (path: string): string | undefined =>
  path.startsWith('-') || existsSync(join(ROOT, path)) ? undefined : `there is no ${path}`;

/** What `peft --help` prints, and `peft COMMAND --help` of each command. */
const helps = await helpTexts();

async function helpTexts(): Promise<ReadonlyMap<string, string>> {
  const helpOf = async (...words: readonly string[]): Promise<string> =>
    (await peft(...words, '--help')).out;
  const main = await helpOf();
  const names = [...main.matchAll(/^ {2}([a-z]+)\b/gm)].map(([, name]) => name!);
  const texts = new Map([['', main]]);
  for (const name of names) texts.set(name, await helpOf(name));
  return texts;
}

function peftFault([command, ...words]: readonly string[]): string | undefined {
  const own = command?.startsWith('-') ? '' : (command ?? '');
  const help = helps.get(own);
  if (help === undefined) return `peft has no command ${own}`;
  const flags = words.filter((word) => /^--?[a-z]/.test(word)).map((word) => word.split('=')[0]!);
  const unknown = flags.find((flag) => !new RegExp(`(^|[\\s,])${flag}\\b`, 'm').test(help));
  return unknown && `peft ${own} has no option ${unknown}`;
}
