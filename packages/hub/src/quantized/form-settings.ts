/** Reads the fields of a `quantization_config`, which a stranger wrote. */
import { PeftError, show } from '@peft/errors';

/** A field that is absent or null takes its default. */
export interface FormSettings {
  value(field: string): unknown;
  flag(field: string): boolean;
  /** An integer that `accepts` takes; `must` says which. */
  integer(
    field: string,
    fallback: number | undefined,
    must: string,
    accepts: (value: number) => boolean,
  ): number;
  oneOf<const T extends string>(field: string, allowed: readonly T[], fallback: T): T;
  /** Names of modules; empty where there are none. */
  modules(field: string): readonly string[];
  /** @throws PEFT_QUANTIZATION_CONFIG */
  refuse(field: string, value: unknown, must: string): never;
}

/** @throws PEFT_QUANTIZATION_CONFIG when it is no object */
export function formSettings(json: unknown): FormSettings {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw configError('it', json, 'an object');
  const fields = json as Readonly<Record<string, unknown>>;
  const value = (field: string): unknown => fields[field] ?? undefined;
  const refuse = (field: string, got: unknown, must: string): never => {
    throw configError(field, got, must);
  };
  return {
    value,
    refuse,
    flag(field) {
      const found = value(field) ?? false;
      return typeof found === 'boolean' ? found : refuse(field, found, 'true or false');
    },
    integer(field, fallback, must, accepts) {
      const found = value(field) ?? fallback;
      return Number.isSafeInteger(found) && accepts(found as number)
        ? (found as number)
        : refuse(field, found, must);
    },
    oneOf<const T extends string>(field: string, allowed: readonly T[], fallback: T): T {
      const found = value(field) ?? fallback;
      return allowed.includes(found as T)
        ? (found as T)
        : refuse(field, found, `one of ${allowed.map((each) => show(each)).join(', ')}`);
    },
    modules(field) {
      const found = value(field) ?? [];
      return Array.isArray(found) && found.every((module) => typeof module === 'string')
        ? found
        : refuse(field, found, 'a list of module names');
    },
  };
}

const configError = (field: string, value: unknown, must: string): PeftError =>
  new PeftError(
    'PEFT_QUANTIZATION_CONFIG',
    `hub: quantization_config: ${field} must be ${must}, got ${show(value ?? null)}.`,
    { hint: 'config.json is damaged, or of a kind of quantisation that is not read' },
  );

/** A form that is known by name and not read. */
export const unreadForm = (what: string, readable: string): PeftError =>
  new PeftError(
    'PEFT_QUANTIZATION_METHOD',
    `hub: the checkpoint is quantised with ${what}, which is not supported.`,
    {
      hint: `${readable}; or take the unquantised checkpoint and quantise it while loading`,
    },
  );
