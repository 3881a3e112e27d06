/**
 * Checks of option values; each throws `PEFT_CONFIG_INVALID` naming the owner, the field and the
 * value.
 */
import { didYouMean } from './nearest-names.js';
import { PeftError } from './peft-error.js';

const fail = (owner: string, field: string, must: string, value: unknown): never => {
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `${owner}: ${field} must be ${must}, got ${show(value)}.`,
  );
};

/** How a value is shown in a message: JSON where possible, cut at 80 characters. */
export function show(value: unknown): string {
  const text =
    typeof value === 'string' || typeof value === 'object' ? jsonOf(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    // nested too deeply, or in a circle
    return Array.isArray(value) ? 'a list that cannot be shown' : 'an object that cannot be shown';
  }
}

/** Written out because TypeScript asks for it where a call narrows its argument. */
export interface Checks {
  positiveInteger(owner: string, field: string, value: unknown): asserts value is number;
  nonNegativeInteger(owner: string, field: string, value: unknown): asserts value is number;
  positive(owner: string, field: string, value: unknown): asserts value is number;
  finite(owner: string, field: string, value: unknown): asserts value is number;
  /** In [0, 1). */
  probability(owner: string, field: string, value: unknown): asserts value is number;
  boolean(owner: string, field: string, value: unknown): asserts value is boolean;
  string(owner: string, field: string, value: unknown): asserts value is string;
  /** An object of values by names, no list. */
  record(
    owner: string,
    field: string,
    value: unknown,
  ): asserts value is Readonly<Record<string, unknown>>;
  /** A list of texts, none of them empty. */
  strings(owner: string, field: string, value: unknown): asserts value is readonly string[];
  /** @param otherNames what to do, by names (in lower case) that others have for one of them. */
  oneOf<const T extends string>(
    owner: string,
    field: string,
    value: unknown,
    allowed: readonly T[],
    otherNames?: Readonly<Record<string, string>>,
  ): asserts value is T;
  /** Every key of `value` is a known one; an unknown one is an error that names the nearest. */
  knownKeys(owner: string, value: object, known: readonly string[]): void;
}

/**
 * Checks of options that come from outside. Each throws PEFT_CONFIG_INVALID, which names owner and
 * field, says what is asked for, and shows what was got.
 */
export const check: Checks = {
  positiveInteger(owner: string, field: string, value: unknown): asserts value is number {
    if (!Number.isSafeInteger(value) || (value as number) <= 0)
      fail(owner, field, 'a positive integer', value);
  },
  nonNegativeInteger(owner: string, field: string, value: unknown): asserts value is number {
    if (!Number.isSafeInteger(value) || (value as number) < 0)
      fail(owner, field, 'an integer of at least 0', value);
  },
  positive(owner: string, field: string, value: unknown): asserts value is number {
    if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value))
      fail(owner, field, 'a number > 0', value);
  },
  finite(owner: string, field: string, value: unknown): asserts value is number {
    if (typeof value !== 'number' || !Number.isFinite(value))
      fail(owner, field, 'a finite number', value);
  },
  /** In [0, 1). */
  probability(owner: string, field: string, value: unknown): asserts value is number {
    if (typeof value !== 'number' || !(value >= 0 && value < 1))
      fail(owner, field, 'a number in [0, 1)', value);
  },
  boolean(owner: string, field: string, value: unknown): asserts value is boolean {
    if (typeof value !== 'boolean') fail(owner, field, 'true or false', value);
  },
  string(owner: string, field: string, value: unknown): asserts value is string {
    if (typeof value !== 'string') fail(owner, field, 'a string', value);
  },
  /** An object of values by names, no list. */
  record(
    owner: string,
    field: string,
    value: unknown,
  ): asserts value is Readonly<Record<string, unknown>> {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      fail(owner, field, 'an object of values by names', value);
  },
  /** A list of texts, none of them empty. */
  strings(owner: string, field: string, value: unknown): asserts value is readonly string[] {
    const areTexts =
      Array.isArray(value) && value.every((item) => typeof item === 'string' && item !== '');
    if (!areTexts) fail(owner, field, 'a list of strings', value);
  },
  oneOf<const T extends string>(
    owner: string,
    field: string,
    value: unknown,
    allowed: readonly T[],
    otherNames: Readonly<Record<string, string>> = {},
  ): asserts value is T {
    if (!allowed.includes(value as T)) {
      const written = typeof value === 'string' ? value : '';
      const near = otherNames[written.toLowerCase()] ?? didYouMean(written, allowed);
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `${owner}: ${field} must be one of ${allowed.join(', ')}, got ${show(value)}.`,
        near ? { hint: near } : {},
      );
    }
  },
  /** Every key of `value` is a known one; an unknown one is an error that names the nearest. */
  knownKeys(owner: string, value: object, known: readonly string[]): void {
    for (const key of Object.keys(value)) {
      if (!known.includes(key)) {
        throw new PeftError(
          'PEFT_CONFIG_UNKNOWN_KEY',
          `${owner}: unknown option ${JSON.stringify(key)}.`,
          { hint: `${didYouMean(key, known)} Known options: ${known.join(', ')}`.trim() },
        );
      }
    }
  },
};
