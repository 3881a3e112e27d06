/**
 * Reads the fields of a `config.json`, fills defaults as transformers does, and refuses what a
 * family does not support.
 */
import { didYouMean, PeftError, show } from '@peft/errors';
import { activationNamed, type ActivationName } from '@peft/ops';

/** No size of a model comes near: a width, a vocabulary, a number of positions, of heads. */
const LARGEST_SIZE = 2 ** 27;
/** Nor has any model as many layers. */
const MOST_LAYERS = 10_000;

export type ConfigJson = Readonly<Record<string, unknown>>;

/** A field that is absent or `null` takes its default; without a default it is required. */
export interface ConfigReader {
  readonly family: string;
  readonly json: ConfigJson;
  /** A positive integer, at most 2²⁷; of layers at most 10,000. */
  size(field: string, fallback?: number): number;
  /** An integer from 0 to 2²⁷; of layers to 10,000. */
  count(field: string, fallback?: number): number;
  /** A finite number. */
  number(field: string, fallback?: number): number;
  /** A number > 0. */
  positive(field: string, fallback?: number): number;
  /** A probability in [0, 1). */
  rate(field: string, fallback?: number): number;
  flag(field: string, fallback?: boolean): boolean;
  activation(field: string, fallback?: string): ActivationName;
  oneOf<const T extends string>(field: string, allowed: readonly T[], fallback?: T): T;
  /** Token id, or undefined where the config has none; the first of a list. */
  tokenId(field: string): number | undefined;
  /** Refuses any value but `supported` (or none at all). */
  only(field: string, supported: unknown, reason: string): void;
  /** @throws PEFT_MODEL_CONFIG naming the field and its value. */
  refuse(field: string, value: unknown, must: string, hint?: string): never;
}

/** @param family shown in messages. */
export function readConfig(family: string, json: ConfigJson): ConfigReader {
  const refuse = (field: string, value: unknown, must: string, hint?: string): never => {
    throw new PeftError(
      'PEFT_MODEL_CONFIG',
      `${family}: config.json: ${field} must be ${must}, got ${show(value)}.`,
      hint ? { hint } : {},
    );
  };
  const field = <T>(
    name: string,
    fallback: T | undefined,
    must: string,
    accepts: (value: unknown) => boolean,
  ): T => {
    const value = json[name] ?? fallback;
    if (value === undefined)
      return refuse(
        name,
        null,
        must,
        'the field is missing: this is not the config of such a model, or it was cut short',
      );
    return accepts(value) ? (value as T) : refuse(name, value, must);
  };
  const isNumber = (value: unknown): value is number =>
    typeof value === 'number' && Number.isFinite(value);
  const integer = (name: string, fallback: number | undefined, least: 0 | 1): number => {
    const must = least === 1 ? 'a positive integer' : 'an integer of at least 0';
    const value = field<number>(
      name,
      fallback,
      must,
      (given) => Number.isSafeInteger(given) && (given as number) >= least,
    );
    const most = /layers?$/.test(name) ? MOST_LAYERS : LARGEST_SIZE;
    return value <= most ? value : refuse(name, value, `at most ${most}`);
  };
  return {
    family,
    json,
    refuse,
    size: (name, fallback) => integer(name, fallback, 1),
    count: (name, fallback) => integer(name, fallback, 0),
    number: (name, fallback) => field<number>(name, fallback, 'a number', isNumber),
    positive: (name, fallback) =>
      field<number>(name, fallback, 'a number > 0', (value) => isNumber(value) && value > 0),
    rate: (name, fallback) =>
      field<number>(
        name,
        fallback,
        'a number in [0, 1)',
        (value) => isNumber(value) && value >= 0 && value < 1,
      ),
    flag: (name, fallback) =>
      field<boolean>(name, fallback, 'true or false', (value) => typeof value === 'boolean'),
    activation(name, fallback) {
      const value = field<string>(
        name,
        fallback,
        'the name of an activation',
        (given) => typeof given === 'string',
      );
      try {
        return activationNamed(value);
      } catch (error) {
        return refuse(
          name,
          value,
          'a known activation',
          error instanceof PeftError ? error.hint : undefined,
        );
      }
    },
    oneOf(name, allowed, fallback) {
      const value = field<string>(
        name,
        fallback,
        `one of ${allowed.join(', ')}`,
        (given) => typeof given === 'string',
      );
      if (!(allowed as readonly string[]).includes(value))
        refuse(
          name,
          value,
          `one of ${allowed.join(', ')}`,
          didYouMean(value, allowed) || undefined,
        );
      return value as never; // one of `allowed`
    },
    tokenId(name) {
      const value = Array.isArray(json[name]) ? (json[name] as unknown[])[0] : json[name];
      if (value === undefined || value === null) return undefined;
      return Number.isSafeInteger(value) && (value as number) >= 0
        ? (value as number)
        : refuse(name, value, 'a token id');
    },
    only(name, supported, reason) {
      const value = json[name];
      if (value !== undefined && value !== null && value !== supported)
        refuse(name, value, `${show(supported)}; ${reason}`);
    },
  };
}

/** Width of one head. @throws PEFT_MODEL_CONFIG when the heads do not divide the width. */
export function headSizeOf(
  config: ConfigReader,
  width: number,
  heads: number,
  headsField: string,
): number {
  if (width % heads !== 0) config.refuse(headsField, heads, `a divisor of the width ${width}`);
  return width / heads;
}
