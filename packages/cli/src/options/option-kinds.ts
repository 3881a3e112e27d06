/** Kinds of option values: how a flag's words and a run file's value become one. */
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { check, PeftError, show } from '@peft/errors';
import { parseScalar } from '@peft/predictor';
import { keyValues } from './key-values.js';
import { names } from './names.js';
import { nonNegativeInteger, positiveInteger, positiveNumber } from './numbers.js';

/** What an option of each kind holds. */
export interface KindValues {
  text: string;
  /** Of a file or folder; in a run file relative to it. */
  path: string;
  paths: readonly string[];
  /** A path where it begins like one (`./`, `../`, `/`), else a name. */
  reference: string;
  references: readonly string[];
  /** Names between commas or spaces. */
  names: readonly string[];
  /** A setting's value, checked where the setting is used. */
  scalar: unknown;
  positiveInteger: number;
  nonNegativeInteger: number;
  positiveNumber: number;
  boolean: boolean;
  keyValues: Readonly<Record<string, unknown>>;
}
export type OptionKind = keyof KindValues;

/** What commander hands over for a flag. */
type FlagValue = string | readonly string[] | boolean;

interface KindRules {
  /** @param owner the command that an error names. */
  fromFlag(owner: string, flag: string, value: FlagValue): unknown;
  /** @param file path of the run file; `owner` names it. */
  fromFile(owner: string, key: string, value: unknown, file: string): unknown;
}

const asIs = (_owner: string, _flag: string, value: FlagValue): FlagValue => value;

/** A run file may hold one text where a list is meant. */
function textList(owner: string, key: string, value: unknown): readonly string[] {
  const list = [value].flat();
  for (const [index, item] of list.entries())
    check.string(owner, Array.isArray(value) ? `${key}[${index}]` : key, item);
  return list as string[];
}

function text(owner: string, key: string, value: unknown): string {
  check.string(owner, key, value);
  return value;
}

const besideFile = (path: string, file: string): string => resolve(dirname(resolve(file)), path);

/** A name of the hub or of a package is no path. */
const referenceBesideFile = (reference: string, file: string): string =>
  /^\.{0,2}\//.test(reference) ? besideFile(reference, file) : reference;

/** A folder or file that is there is meant as a path, whatever it begins with. */
const referenceFromHere = (reference: string): string =>
  existsSync(reference) ? resolve(reference) : reference;

/** @returns the value of an option with its paths absolute */
export function fromAnywhere(kind: OptionKind, value: unknown): unknown {
  switch (kind) {
    case 'path':
      return resolve(value as string);
    case 'paths':
      return (value as readonly string[]).map((path) => resolve(path));
    case 'reference':
      return referenceFromHere(value as string);
    case 'references':
      return (value as readonly string[]).map(referenceFromHere);
    default:
      return value;
  }
}

const numberKind = (
  fromText: (owner: string, flag: string, text: string) => number,
  checkNumber: (owner: string, key: string, value: unknown) => void,
): KindRules => ({
  fromFlag: (owner, flag, value) => fromText(owner, flag, String(value)),
  fromFile: (owner, key, value) => {
    checkNumber(owner, key, value);
    return value;
  },
});

const KINDS: Readonly<Record<OptionKind, KindRules>> = Object.freeze({
  text: {
    fromFlag: asIs,
    fromFile: text,
  },
  path: {
    fromFlag: asIs,
    fromFile: (owner, key, value, file) => besideFile(text(owner, key, value), file),
  },
  paths: {
    fromFlag: asIs,
    fromFile: (owner, key, value, file) =>
      textList(owner, key, value).map((path) => besideFile(path, file)),
  },
  reference: {
    fromFlag: asIs,
    fromFile: (owner, key, value, file) => referenceBesideFile(text(owner, key, value), file),
  },
  references: {
    fromFlag: asIs,
    fromFile: (owner, key, value, file) =>
      textList(owner, key, value).map((reference) => referenceBesideFile(reference, file)),
  },
  names: {
    fromFlag: (_owner, _flag, value) => names(value as readonly string[]),
    fromFile: textList,
  },
  scalar: {
    fromFlag: (_owner, _flag, value) => parseScalar(String(value)),
    fromFile: scalar,
  },
  positiveInteger: numberKind(positiveInteger, (owner, key, value) =>
    check.positiveInteger(owner, key, value),
  ),
  nonNegativeInteger: numberKind(nonNegativeInteger, (owner, key, value) =>
    check.nonNegativeInteger(owner, key, value),
  ),
  positiveNumber: numberKind(positiveNumber, (owner, key, value) =>
    check.positive(owner, key, value),
  ),
  boolean: {
    fromFlag: asIs,
    fromFile: (owner, key, value) => {
      check.boolean(owner, key, value);
      return value;
    },
  },
  keyValues: {
    fromFlag: (owner, flag, value) => keyValues(`${owner}: ${flag}`, value as readonly string[]),
    fromFile: mapping,
  },
});

function scalar(owner: string, key: string, value: unknown): unknown {
  if (['string', 'number', 'boolean'].includes(typeof value)) return value;
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `${owner}: ${key} must be one value, got ${show(value)}.`,
  );
}

function mapping(owner: string, key: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `${owner}: ${key} must be a mapping of names to values, got ${show(value)}.`,
  );
}

/**
 * @returns the value of a flag
 * @throws PEFT_OPTION_INVALID, PEFT_CONFIG_INVALID
 */
export const valueOfFlag = (kind: OptionKind, owner: string, flag: string, value: unknown) =>
  KINDS[kind].fromFlag(owner, flag, value as FlagValue);

/**
 * @param file path of the run file.
 * @returns the value of a run file's key, paths absolute
 * @throws PEFT_CONFIG_INVALID for a value of another type
 */
export const valueInFile = (kind: OptionKind, file: string, key: string, value: unknown) =>
  KINDS[kind].fromFile(`run file ${file}`, key, value, file);

/** One option of `peft fit`. */
export interface FitOption {
  /** As commander takes them. */
  readonly flags: string;
  readonly kind: OptionKind;
  readonly help: string;
  readonly group: 'Data' | 'Model and method' | 'Training' | 'Run';
  /** Further flag that switches it off, with its help. */
  readonly off?: readonly [flags: string, help: string];
  readonly choices?: readonly string[];
  /** What to choose, by names that others have for one of the choices. */
  readonly otherNames?: Readonly<Record<string, string>>;
  /** The setting that it is another name of. */
  readonly setting?: string;
  /** Only on the command line. */
  readonly isFlagOnly?: true;
}
