/** The options of `peft fit`, read from a command line or a run file. */
import { type Command, Option } from 'commander';
import { check } from '@peft/errors';
import { FIT_OPTIONS } from './fit-option-table.js';
import { valueInFile, valueOfFlag, type FitOption, type KindValues } from './option-kinds.js';

type FitOptionName = keyof typeof FIT_OPTIONS;

/** One of its choices where it has some, else what its kind holds. */
type ValueOf<Entry extends FitOption> = Entry extends {
  readonly choices: readonly (infer Choice)[];
}
  ? Choice
  : KindValues[Entry['kind']];

/** The options that a user gave, by their names in the table. */
export type FitInput = {
  readonly [Name in FitOptionName]?: ValueOf<(typeof FIT_OPTIONS)[Name]>;
} & {
  /** The training data: the command's argument. */
  readonly train?: string;
};

/** The table, in its order. */
export const FIT_ENTRIES: readonly (readonly [FitOptionName, FitOption])[] = Object.entries(
  FIT_OPTIONS,
) as never; // Object.entries forgets that the keys are the table's
const GROUPS = [...new Set(FIT_ENTRIES.map(([, { group }]) => group))];

/** Keys of a run file. */
export const RUN_FILE_KEYS: readonly string[] = Object.freeze([
  'train',
  ...FIT_ENTRIES.flatMap(([name, { isFlagOnly }]) => (isFlagOnly ? [] : [name])),
]);

export function addFitOptions(command: Command): Command {
  for (const group of GROUPS)
    for (const [, option] of FIT_ENTRIES)
      if (option.group === group) for (const made of flagsOf(option)) command.addOption(made);
  return command;
}

/** The flag of an option, and the one that switches it off where there is one. */
export function flagsOf({ flags, help, off, group, setting }: FitOption): Option[] {
  const text = setting === undefined ? help : `${help} (${setting})`;
  const given: (readonly [string, string])[] = off ? [[flags, text], off] : [[flags, text]];
  return given.map(([words, meaning]) => new Option(words, meaning).helpGroup(`${group}:`));
}

/**
 * What was typed.
 * @throws PEFT_OPTION_INVALID, PEFT_CONFIG_INVALID naming the flag
 */
export function fitInputOfFlags(train: string | undefined, command: Command): FitInput {
  const given = FIT_ENTRIES.flatMap(([name, option]) => {
    const [made] = flagsOf(option);
    const attribute = made!.attributeName();
    if (command.getOptionValueSource(attribute) !== 'cli') return [];
    const value = valueOfFlag(option.kind, 'fit', made!.long!, command.getOptionValue(attribute));
    if (option.choices) check.oneOf('fit', made!.long!, value, option.choices, option.otherNames);
    return [[name, value] as const];
  });
  return { train, ...Object.fromEntries(given) };
}

/**
 * What a run file holds.
 * @param file its path; its own paths are relative to it.
 * @throws PEFT_CONFIG_UNKNOWN_KEY with the nearest key, PEFT_CONFIG_INVALID for a value of another
 *   type
 */
export function fitInputOfFile(file: string, values: Readonly<Record<string, unknown>>): FitInput {
  check.knownKeys(`run file ${file}`, values, RUN_FILE_KEYS);
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => {
      if (key === 'train') return [key, valueInFile('path', file, key, value)];
      const { kind, choices, otherNames } = FIT_OPTIONS[key as FitOptionName] as FitOption;
      const checked = valueInFile(kind, file, key, value);
      if (choices) check.oneOf(`run file ${file}`, key, checked, choices, otherNames);
      return [key, checked];
    }),
  );
}
