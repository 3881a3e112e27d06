/** A run file's contents as the words of a command line. */
import { parseScalar } from '@peft/predictor';
import { FIT_ENTRIES, flagsOf, type FitInput } from '../options/fit-options.js';
import type { FitOption } from '../options/option-kinds.js';

/** @returns words after `peft` that mean the same */
export const wordsOf = ({ train, ...input }: FitInput): string[] => [
  'fit',
  ...(train === undefined ? [] : [train]),
  ...FIT_ENTRIES.flatMap(([name, option]) =>
    input[name] === undefined ? [] : optionWords(option, input[name]),
  ),
];

function optionWords(option: FitOption, value: unknown): string[] {
  const [flag, off] = flagsOf(option);
  switch (option.kind) {
    case 'boolean': {
      const made = [flag!, off].find((each) => each && each.negate === (value === false));
      return made ? [made.long!] : [];
    }
    case 'keyValues':
      return Object.entries(value as Readonly<Record<string, unknown>>).flatMap(
        ([key, inner], index) => [...(index === 0 ? [flag!.long!] : []), `${key}=${typed(inner)}`],
      );
    case 'scalar':
      return [flag!.long!, typed(value)];
    default:
      return [flag!.long!, ...[value].flat().map(String)];
  }
}

/** As `parseScalar` reads it back. */
function typed(value: unknown): string {
  return typeof value === 'string' && parseScalar(value) === value ? value : JSON.stringify(value);
}
