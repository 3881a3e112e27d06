/** What a fit was asked for as a run file says it, to be repeated from any folder. */
import { resolve } from 'node:path';
import type { JsonObject } from '@peft/hub';
import { FIT_ENTRIES, type FitInput } from '../options/fit-options.js';
import { fromAnywhere } from '../options/option-kinds.js';

/** @param input flags and run file as one. @returns keys of a run file, paths absolute */
export function requestOf(input: FitInput): JsonObject {
  const given = FIT_ENTRIES.filter(
    ([name, { isFlagOnly }]) => !isFlagOnly && input[name] !== undefined,
  );
  const named = new Set(given.map(([, { setting }]) => setting));
  const values = given.map(([name, { kind }]) => [
    name,
    name === 'hyperparameters'
      ? without(named, input.hyperparameters!)
      : fromAnywhere(kind, input[name]),
  ]);
  const request: JsonObject = {
    train: input.train && resolve(input.train),
    ...(Object.fromEntries(values) as JsonObject),
  };
  return Object.fromEntries(Object.entries(request).filter(([, value]) => !isEmpty(value)));
}

/** Settings that no option of their own says already. */
const without = (
  named: ReadonlySet<string | undefined>,
  settings: Readonly<Record<string, unknown>>,
): Record<string, unknown> =>
  Object.fromEntries(Object.entries(settings).filter(([key]) => !named.has(key)));

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
