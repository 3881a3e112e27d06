/** Small JSON files of a model folder, read as hostile input. */
import { PeftError } from '@peft/errors';
import { readFileSync, statSync } from 'node:fs';
import { parseStrictJson, StrictJsonError } from './strict-json.js';

/** A parsed JSON object whose values are not yet checked. */
export type JsonObject = { readonly [key: string]: unknown };

/** Larger than any tokenizer.json. */
const MAX_JSON_BYTES = 500_000_000;

/**
 * Reads a file that holds one JSON object, or `undefined` where there is no such file.
 *
 * @throws PEFT_JSON_INVALID the file is no JSON object, or names a key twice.
 */
export function readJsonObject(path: string): JsonObject | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return undefined;
  const invalid = (problem: string, cause?: unknown) =>
    new PeftError('PEFT_JSON_INVALID', `hub: ${path} ${problem}.`, {
      hint: 'Correct the file, or fetch it again.',
      cause,
    });
  if (!stat.isFile()) throw invalid('is not a file');
  if (stat.size > MAX_JSON_BYTES)
    throw invalid(`has ${stat.size} bytes, over the limit of ${MAX_JSON_BYTES}`);
  let value: unknown;
  try {
    value = parseStrictJson(readFileSync(path));
  } catch (cause) {
    if (!(cause instanceof StrictJsonError)) throw cause;
    throw invalid(`is no valid JSON: ${cause.message}`, cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(
      `must hold a JSON object, got ${Array.isArray(value) ? 'a list' : String(value)}`,
    );
  return value as JsonObject;
}
