/** Writes a package that holds a PEFT method, from the files in `template/`. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check, PeftError, show } from '@peft/errors';

/** Kinds of sites that a method can attach to. */
export const KINDS = Object.freeze([
  'linear',
  'norm',
  'embedding',
  'attention',
  'sublayer',
  'sequence',
  'parameter',
] as const);
/** What the new method stands on. */
export type MethodKind = (typeof KINDS)[number];

/** What the new package is called, and where it goes. */
export interface CreateMethodOptions {
  /** In lower case with hyphens: `my-method`. */
  readonly name: string;
  readonly kind: MethodKind;
  /** Must be empty or new. */
  readonly folder: string;
  /** For npm. Default `peft-<name>`. */
  readonly packageName?: string;
}

/** What the source of a kind computes to begin with. */
const FORMULAS: Readonly<Record<MethodKind, string>> = Object.freeze({
  linear: 'y = g ⊙ (x·Wᵀ + b)        g `[out]`',
  norm: 'y = g ⊙ norm(x)        g `[D]`',
  embedding: 'y[n] = g ⊙ E[ids[n]]        g `[D]`',
  attention: 'attention(q, [K_P, k], [V_P, v])        K_P, V_P `[P, heads·headSize]`',
  sublayer: 'y = norm(residual + g ⊙ output)        g `[D]`',
  sequence: "x' = [e_1 … e_P, x_1 … x_T]        e `[P, D]`",
  parameter: 'θ ← θ − η·∂L/∂θ for the chosen parameters θ of the model',
});

const TEMPLATE = fileURLToPath(new URL('../template', import.meta.url));
const SUFFIX = '.tpl';

/**
 * @returns the folder, absolute, and the files written, relative to it.
 * @throws PEFT_OPTION_INVALID for a bad name or kind, PEFT_FOLDER_NOT_EMPTY
 */
export function createMethod({
  name,
  kind,
  folder,
  packageName = `peft-${name}`,
}: CreateMethodOptions): { readonly folder: string; readonly files: readonly string[] } {
  checkName(name);
  if (!KINDS.includes(kind))
    throw new PeftError(
      'PEFT_OPTION_INVALID',
      `create-method: the kind must be one of ${KINDS.join(', ')}, got ${show(kind)}.`,
    );
  if (!/^(@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*$/.test(packageName))
    throw new PeftError(
      'PEFT_OPTION_INVALID',
      `create-method: ${show(packageName)} is no name for a package.`,
      {
        hint: 'lower-case letters, digits and hyphens, a scope in front where wanted: @me/peft-my-method',
      },
    );
  const target = resolve(folder);
  const existing = statSync(target, { throwIfNoEntry: false });
  if (existing && (!existing.isDirectory() || readdirSync(target).length > 0))
    throw new PeftError(
      'PEFT_FOLDER_NOT_EMPTY',
      `create-method: ${target} is not an empty folder.`,
      { hint: 'choose another with --folder' },
    );
  const words = { ...wordsFor(name, packageName), formula: FORMULAS[kind] };
  const files = new Map(
    [...templateFiles('common'), ...templateFiles(`kinds/${kind}`)].map(([path, text]) => [
      fill(path, words),
      fill(text, words),
    ]),
  );
  try {
    for (const [path, text] of files) {
      mkdirSync(dirname(join(target, path)), { recursive: true });
      writeFileSync(join(target, path), text);
    }
  } catch (error) {
    for (const entry of readdirSync(target))
      rmSync(join(target, entry), { recursive: true, force: true });
    throw error;
  }
  return { folder: target, files: [...files.keys()].sort() };
}

/** @throws PEFT_OPTION_INVALID for a name that is none for a method */
export function checkName(name: string): void {
  check.string('create-method', 'name', name);
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name))
    throw new PeftError(
      'PEFT_OPTION_INVALID',
      `create-method: a method's name is lower-case words joined by hyphens, got ${show(name)}.`,
      { hint: 'for example my-method' },
    );
  if (RESERVED.has(name))
    throw new PeftError(
      'PEFT_OPTION_INVALID',
      `create-method: ${show(name)} is taken: a word of JavaScript, or of the template.`,
    );
}

const RESERVED = new Set(
  (
    'await break case catch class const continue debugger default delete do else enum export ' +
    'extends false finally for function if implements import in interface let new null ' +
    'package private protected public return static super switch this throw true try typeof ' +
    'var void while with yield check index normal tf'
  ).split(' '),
);

/** What the template's words stand for. */
function wordsFor(name: string, packageName: string): Readonly<Record<string, string>> {
  const { devDependencies } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  ) as { devDependencies: Record<string, string> };
  const pascal = name
    .split('-')
    .map((word) => word[0]!.toUpperCase() + word.slice(1))
    .join('');
  return {
    name,
    pascal,
    camel: pascal[0]!.toLowerCase() + pascal.slice(1),
    snake: name.replaceAll('-', '_'),
    package: packageName,
    ...Object.fromEntries(
      Object.entries(devDependencies).map(([dependency, range]) => [
        `range of ${dependency}`,
        range,
      ]),
    ),
  };
}

/** @throws PEFT_TEMPLATE_WORD for a word that has no meaning: a fault of the template */
function fill(text: string, words: Readonly<Record<string, string>>): string {
  return text.replace(/\{\{([^}]+)\}\}/g, (_, word: string) => {
    const meaning = words[word];
    if (meaning === undefined)
      throw new PeftError(
        'PEFT_TEMPLATE_WORD',
        `create-method: the template has the unknown word ${show(word)}.`,
      );
    return meaning;
  });
}

/** Path in the package → text. */
function templateFiles(part: string): [string, string][] {
  const root = join(TEMPLATE, part);
  const paths = (readdirSync(root, { recursive: true }) as string[])
    .map((path) => join(root, path))
    .filter((path) => path.endsWith(SUFFIX));
  return paths.map((path) => [
    relative(root, path).slice(0, -SUFFIX.length),
    readFileSync(path, 'utf8'),
  ]);
}
