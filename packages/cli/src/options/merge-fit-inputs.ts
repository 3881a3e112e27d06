/** What a run file says and what was typed, as one. */
import { FIT_ENTRIES, type FitInput } from './fit-options.js';

/** Flags win over the file, in mappings key by key. */
export function mergeFitInputs(file: FitInput, flags: FitInput): FitInput {
  return {
    ...file,
    ...flags,
    train: flags.train ?? file.train,
    map: { ...file.map, ...flags.map },
    methodOptions: { ...file.methodOptions, ...flags.methodOptions },
    hyperparameters: {
      ...flat(file.hyperparameters ?? {}),
      ...settingsOf(file),
      ...settingsOf(flags),
      ...flags.hyperparameters,
    },
  };
}

/** The options that are settings under another name. */
const settingsOf = (input: FitInput): Record<string, unknown> =>
  Object.fromEntries(
    FIT_ENTRIES.flatMap(([name, { setting }]) =>
      setting === undefined || input[name] === undefined ? [] : [[setting, input[name]]],
    ),
  );

/** Nested settings of a run file under their dotted keys, so that a flag replaces one of them. */
function flat(value: Readonly<Record<string, unknown>>, prefix = ''): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) =>
      typeof inner === 'object' && inner !== null && !Array.isArray(inner)
        ? Object.entries(flat(inner as Record<string, unknown>, `${prefix}${key}.`))
        : [[`${prefix}${key}`, inner]],
    ),
  );
}
