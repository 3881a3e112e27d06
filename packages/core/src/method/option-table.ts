/**
 * A method's own options as a table: for each its default, what a value must be, and its name in
 * PEFT's config. The parser, both ways of adapter_config.json and the documentation follow from it.
 */
import { check, PeftError, show } from '@peft/errors';
import { refuseBadPattern } from '../description/module-pattern.js';
import type { OptionLine, PeftConfigContext } from './peft-method.js';

/** What a value must be: the name of a check, the list of values allowed, or a check of one's own. */
export type OptionRule =
  | 'positiveInteger'
  | 'nonNegativeInteger'
  | 'positive'
  | 'finite'
  | 'probability'
  | 'boolean'
  | 'string'
  /** Positive integers by module, see `ModulePattern`. */
  | 'integersByModule'
  /** Numbers over 0 by module. */
  | 'numbersByModule'
  | readonly (string | number | boolean)[]
  | ((owner: string, field: string, value: unknown) => void);

/** One option. */
export interface OptionRow<T> {
  /** Undefined: absent unless given, `null` in PEFT's config. */
  readonly default: T;
  readonly is: OptionRule;
  /** Its key in adapter_config.json, absent where PEFT has no such option. */
  readonly peft?: string;
}

/** One row for each of a method's options. */
export type OptionRows<Config> = { readonly [K in keyof Config]-?: OptionRow<Config[K]> };

/** What a table needs beside its rows. */
export interface OptionTableSettings<Config> {
  /** What single options cannot say; throws. */
  readonly refuse?: (config: Config) => void;
  /** PEFT's keys of which one value alone is supported, with that value. */
  readonly fixed?: Readonly<Record<string, unknown>>;
  /** PEFT's config says whether checkpoints store their matrices as `[in, out]`. Default false. */
  readonly fanInFanOut?: boolean;
}

/** The part of a method's definition that its options make. */
export interface OptionTable<Config> {
  readonly options: readonly OptionLine[];
  parseConfig(input: Partial<Config>): Config;
  toPeftConfig(config: Config, context: PeftConfigContext): Record<string, unknown>;
  fromPeftConfig(json: Readonly<Record<string, unknown>>): Partial<Config>;
}

/**
 * @param owner the method's name, for messages
 * @returns fields to spread into a method's definition; `parseConfig` throws PEFT_CONFIG_INVALID and
 *   PEFT_CONFIG_UNKNOWN_KEY, `fromPeftConfig` PEFT_CONFIG_UNSUPPORTED
 */
export function optionTable<Config extends object>(
  owner: string,
  rows: OptionRows<Config>,
  { refuse, fixed = {}, fanInFanOut = false }: OptionTableSettings<Config> = {},
): OptionTable<Config> {
  const entries = Object.entries(rows) as [keyof Config & string, OptionRow<unknown>][];
  return {
    options: entries.map(([name, row]) => ({ name, default: row.default, peft: row.peft })),

    parseConfig(input) {
      check.knownKeys(
        owner,
        input,
        entries.map(([name]) => name),
      );
      const config = Object.freeze(
        Object.fromEntries(
          entries.map(([name, row]) => {
            const value = input[name] ?? row.default;
            if (value !== undefined) checkValue(owner, name, value, row.is);
            return [name, value];
          }),
        ),
      ) as Config;
      refuse?.(config);
      return config;
    },

    toPeftConfig(config, { sites }) {
      const own = {
        ...fixed,
        ...Object.fromEntries(
          entries.flatMap(([name, { peft }]) =>
            peft === undefined ? [] : [[peft, config[name] ?? null]],
          ),
        ),
      };
      if (!fanInFanOut) return own;
      const isTurned = sites.some((site) => site.kind === 'linear' && site.transposed);
      return { ...own, fan_in_fan_out: isTurned };
    },

    fromPeftConfig(json) {
      for (const [key, value] of Object.entries(fixed))
        if (json[key] !== undefined && JSON.stringify(json[key]) !== JSON.stringify(value))
          throw new PeftError(
            'PEFT_CONFIG_UNSUPPORTED',
            `${owner}: adapter_config.json sets ${key} to ${show(json[key])}, which is not supported.`,
            { hint: `only ${show(value)} is` },
          );
      return Object.fromEntries(
        entries
          .map(([name, { peft }]) => [name, peft === undefined ? undefined : json[peft]])
          .filter(([, value]) => value !== undefined && value !== null),
      ) as Partial<Config>;
    },
  };
}

function checkValue(owner: string, field: string, value: unknown, rule: OptionRule): void {
  if (typeof rule === 'function') rule(owner, field, value);
  else if (rule === 'integersByModule') refuseBadPattern(owner, field, value, 'positiveInteger');
  else if (rule === 'numbersByModule') refuseBadPattern(owner, field, value, 'positive');
  else if (typeof rule !== 'string') refuseOthers(owner, field, value, rule);
  else {
    const one: (owner: string, field: string, value: unknown) => void = check[rule];
    one(owner, field, value);
  }
}

function refuseOthers(
  owner: string,
  field: string,
  value: unknown,
  allowed: readonly (string | number | boolean)[],
): void {
  if (allowed.every((each) => typeof each === 'string'))
    check.oneOf(owner, field, value, allowed as readonly string[]);
  else if (!allowed.includes(value as string))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: ${field} must be one of ${allowed.join(', ')}, got ${show(value)}.`,
    );
}
