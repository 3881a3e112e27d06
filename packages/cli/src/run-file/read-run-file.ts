/**
 * A run file: the options of `peft fit` as YAML or JSON, settings in nested or dotted form. It
 * holds data alone: the modules that it names are loaded only where the command line asks for it.
 */
import { readFileSync } from 'node:fs';
import { PeftError } from '@peft/errors';
import { parseDocument } from 'yaml';
import { fitInputOfFile, RUN_FILE_KEYS, type FitInput } from '../options/fit-options.js';

/** How often aliases (`*name`) may be expanded: a few lines of them can name billions of values. */
const MAXIMUM_ALIASES = 100;
/** Longest run file, in bytes. */
const MAXIMUM_BYTES = 1_000_000;

/**
 * @throws PEFT_RUN_FILE when it cannot be read, is no YAML or no mapping, expands more than 100
 *   aliases, or has more than 1 MB; PEFT_CONFIG_UNKNOWN_KEY with the nearest key,
 *   PEFT_CONFIG_INVALID for a value of another type
 */
export function readRunFile(path: string): FitInput {
  const text = textOf(path);
  if (text.length > MAXIMUM_BYTES)
    throw invalid(path, `it has ${text.length} characters, at most ${MAXIMUM_BYTES} are read.`);
  const value = parsed(path, text);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(path, `it must be a mapping of ${RUN_FILE_KEYS.slice(0, 4).join(', ')} …`);
  return fitInputOfFile(path, value as Record<string, unknown>);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw invalid(path, `it cannot be read (${code ?? message}).`, cause);
  }
}

function parsed(path: string, text: string): unknown {
  try {
    const document = parseDocument(text);
    const [problem] = [...document.errors, ...document.warnings];
    if (problem) throw problem;
    return document.toJS({ maxAliasCount: MAXIMUM_ALIASES });
  } catch (cause) {
    throw invalid(path, (cause as Error).message, cause);
  }
}

const invalid = (path: string, problem: string, cause?: unknown): PeftError =>
  new PeftError('PEFT_RUN_FILE', `run file ${path}: ${problem}`, { cause });
