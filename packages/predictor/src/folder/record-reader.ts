/** Checks the fields of a saved predictor's record. */
import { PeftError, show } from '@peft/errors';
import type { JsonObject } from '@peft/hub';

/** An object of `predictor.json`, read as hostile input: each call checks one field. */
export interface Reader {
  readonly value: JsonObject;
  fail(key: string, must: string): never;
  text(key: string): string;
  optionalText(key: string): string | undefined;
  /** undefined where there is none, else that many numbers above 0. */
  weights(key: string, count: number): readonly number[] | undefined;
  number(key: string): number;
  optionalNumber(key: string): number | undefined;
  count(key: string, least: number): number;
  truth(key: string): boolean;
  hash(key: string): string;
  texts(key: string): readonly string[];
  object(key: string): Reader;
}

/** @throws PEFT_PREDICTOR_INVALID from its calls, naming the field behind `prefix` */
export function reader(value: JsonObject, where: string, prefix: string): Reader {
  const fail = (key: string, must: string): never => {
    throw new PeftError(
      'PEFT_PREDICTOR_INVALID',
      `predictor: ${where}: ${prefix}${key} must be ${must}, got ${show(value[key])}.`,
      { hint: 'the file is damaged or was changed; save the predictor again' },
    );
  };
  const checked = <T>(key: string, isValid: (item: unknown) => boolean, must: string): T =>
    Object.hasOwn(value, key) && isValid(value[key]) ? (value[key] as T) : fail(key, must);
  const number = (key: string): number => checked(key, Number.isFinite, 'a number');
  return {
    value,
    fail,
    text: (key) => checked(key, (item) => typeof item === 'string' && item !== '', 'a text'),
    optionalText: (key) =>
      value[key] === undefined
        ? undefined
        : checked(key, (item) => typeof item === 'string' && item !== '', 'a text'),
    weights: (key, count) =>
      value[key] === undefined
        ? undefined
        : checked(
            key,
            (item) =>
              Array.isArray(item) &&
              item.length === count &&
              item.every((weight) => typeof weight === 'number' && weight > 0),
            `a list of ${count} numbers above 0`,
          ),
    number,
    optionalNumber: (key) => (value[key] === undefined ? undefined : number(key)),
    count: (key, least) =>
      checked(
        key,
        (item) => Number.isSafeInteger(item) && (item as number) >= least,
        `an integer of at least ${least}`,
      ),
    truth: (key) => checked(key, (item) => typeof item === 'boolean', 'true or false'),
    hash: (key) =>
      checked(key, (item) => typeof item === 'string' && /^[0-9a-f]{64}$/.test(item), 'a sha256'),
    texts: (key) =>
      checked(
        key,
        (item) =>
          Array.isArray(item) && item.length > 0 && item.every((text) => typeof text === 'string'),
        'a list of texts',
      ),
    object: (key) =>
      reader(
        checked<JsonObject>(
          key,
          (item) => typeof item === 'object' && item !== null && !Array.isArray(item),
          'an object',
        ),
        where,
        `${prefix}${key}.`,
      ),
  };
}
