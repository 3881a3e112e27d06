/** Settings as a user writes them: dotted keys, nested objects or texts, checked. */
import { didYouMean, PeftError, show } from '@peft/errors';
import type { HyperparameterKey, Hyperparameters } from './hyperparameter-types.js';
import { HYPERPARAMETER_KEYS, SETTINGS } from './setting-table.js';

/** `{ [first]: { [second]: … } }` of a dotted key. */
type Nested<Key extends string, Value> = Key extends `${infer First}.${infer Rest}`
  ? { readonly [F in First]?: Nested<Rest, Value> }
  : { readonly [K in Key]?: Value };
type Both<Union> = (Union extends unknown ? (each: Union) => void : never) extends (
  all: infer All,
) => void
  ? All
  : never;

/** The settings as nested objects: `{ optim: { peft: 'lora', lora: { r: 4 } } }`. */
export type NestedHyperparameters = Both<
  { [Key in HyperparameterKey]: Nested<Key, Hyperparameters[Key]> }[HyperparameterKey]
>;

declare const unchecked: unique symbol;
/** Settings that the compiler does not know; they are checked when they are used. */
export type UncheckedHyperparameters = Readonly<Record<string, unknown>> & {
  readonly [unchecked]: true;
};

/**
 * Lets settings through that are known at run time alone: those of a file, AutoGluon's older
 * names, a plug-in's engine or method. `fit` checks them as all others.
 * @param values by dotted or nested keys
 * @returns the same object
 */
export const uncheckedHyperparameters = (values: object): UncheckedHyperparameters =>
  // the mark is one of the type alone
  values as UncheckedHyperparameters;

/**
 * What a user may write: dotted keys, nested objects, or `"a=b c=d"`. A wrong key or value is an
 * error of the compiler, or of {@link uncheckedHyperparameters}'s at run time.
 */
export type HyperparameterInput =
  | (Partial<Hyperparameters> & NestedHyperparameters)
  | UncheckedHyperparameters
  | readonly string[]
  | string;

/** AutoGluon's older names and what they are called now. */
const OLDER_KEYS: Readonly<Record<string, HyperparameterKey>> = Object.freeze({
  'env.eval_batch_size_ratio': 'env.inference_batch_size_ratio',
  'optim.efficient_finetune': 'optim.peft',
  'optim.learning_rate': 'optim.lr',
  'optim.lora.module_filters': 'optim.lora.module_filter',
  'env.per_device_batch_size': 'env.per_gpu_batch_size',
});

/** `optimization.x` was renamed to `optim.x`, beside the names above. */
function currentKey(key: string): string {
  const renamed = key.startsWith('optimization.')
    ? `optim.${key.slice('optimization.'.length)}`
    : key;
  return Object.hasOwn(OLDER_KEYS, renamed) ? OLDER_KEYS[renamed]! : renamed;
}

/** A list of texts is one input. */
export const isInputList = (
  inputs: HyperparameterInput | readonly HyperparameterInput[],
): inputs is readonly HyperparameterInput[] =>
  Array.isArray(inputs) && inputs.some((input) => typeof input !== 'string');

/** The given values by their present keys. */
export function checkedValues(input: HyperparameterInput): Partial<Hyperparameters> {
  const values: Record<string, unknown> = {};
  const given = new Map<string, string>();
  for (const [written, value] of flatten(input)) {
    const key = currentKey(written);
    if (!Object.hasOwn(SETTINGS, key))
      throw new PeftError(
        'PEFT_HYPERPARAMETER_UNKNOWN',
        `hyperparameters: there is no setting ${JSON.stringify(written)}.`,
        { hint: didYouMean(key, HYPERPARAMETER_KEYS) || 'list them with: peft fit --help' },
      );
    if (given.has(key))
      throw new PeftError(
        'PEFT_HYPERPARAMETER_TWICE',
        `hyperparameters: ${given.get(key)} and ${written} are the same setting.`,
        { hint: 'give one of them' },
      );
    const { check: problemOf, convert } = SETTINGS[key as HyperparameterKey];
    const must = problemOf(value);
    if (must)
      throw new PeftError(
        'PEFT_HYPERPARAMETER_INVALID',
        `hyperparameters: ${written} must be ${must}, got ${show(value)}.`,
        hintFor(key, value),
      );
    given.set(key, written);
    values[key] = convert ? convert(value) : value;
  }
  return values;
}

/** What is meant by values that others write so. */
const OTHER_VALUES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'optim.preference_loss': {
    dpo: 'DPO is sigmoid, the default',
    rpo: 'RPO is sigmoid with optim.likelihood_weight=1',
    sft: 'weigh the likelihood of the chosen answers by optim.likelihood_weight',
  },
};

function hintFor(key: string, value: unknown): { readonly hint?: string } {
  if (key === 'model.hf_text.text_trivial_aug_maxscale')
    return { hint: 'text augmentation is not available; leave it out' };
  if (typeof value !== 'string') return {};
  const choices = SETTINGS[key as HyperparameterKey].check.schema.enum ?? [];
  const near =
    OTHER_VALUES[key]?.[value.toLowerCase()] ??
    didYouMean(
      value,
      choices.filter((choice) => typeof choice === 'string'),
    );
  return near ? { hint: near } : {};
}

function* flatten(input: HyperparameterInput, prefix = ''): Generator<[string, unknown]> {
  if (typeof input === 'string' || Array.isArray(input)) {
    const words =
      typeof input === 'string' ? input.split(/\s+/).filter(Boolean) : (input as readonly string[]);
    for (const word of words) {
      const at = word.indexOf('=');
      if (at <= 0)
        throw new PeftError(
          'PEFT_HYPERPARAMETER_INVALID',
          `hyperparameters: ${JSON.stringify(word)} is not of the form key=value.`,
        );
      yield [word.slice(0, at), parseScalar(word.slice(at + 1))];
    }
    return;
  }
  for (const [key, value] of Object.entries(input)) {
    const path = prefix ? `${prefix}.${key}` : key;
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      yield* flatten(value, path);
    else yield [path, value];
  }
}

/** `3e-3`, `true`, `null`, `[a,b]` as JSON where it is JSON, else the text itself. */
export function parseScalar(text: string): unknown {
  if (text === 'True' || text === 'False') return text === 'True';
  if (text === 'None') return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
