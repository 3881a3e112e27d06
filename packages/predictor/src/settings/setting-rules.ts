/** What values of settings must be: once as JSON Schema, from which they are checked. */

/** The words of JSON Schema that settings need. */
export interface ValueSchema {
  readonly type?: SchemaType | readonly SchemaType[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly minLength?: number;
  readonly items?: ValueSchema;
  readonly minItems?: number;
  readonly anyOf?: readonly ValueSchema[];
}
type SchemaType = 'string' | 'number' | 'integer' | 'boolean' | 'null' | 'array';

/** @returns what the value must be, in words, where it is not. */
export interface SettingRule {
  (value: unknown): string | undefined;
  /** The same for programs. */
  readonly schema: ValueSchema;
  /** In words. */
  readonly must: string;
}

/** A rule in words and as a schema. */
export const rule = (must: string, schema: ValueSchema): SettingRule =>
  Object.assign((value: unknown) => (fits(value, schema) ? undefined : must), { schema, must });

/** @returns whether a schema takes a value. Numbers have to be finite. */
export function fits(value: unknown, schema: ValueSchema): boolean {
  if (schema.anyOf && !schema.anyOf.some((each) => fits(value, each))) return false;
  if (schema.enum && !schema.enum.includes(value)) return false;
  if (schema.const !== undefined && value !== schema.const) return false;
  if (schema.type && ![schema.type].flat().some((type) => hasType(value, type as SchemaType)))
    return false;
  if (typeof value === 'number') return isWithin(value, schema);
  if (typeof value === 'string') return value.length >= (schema.minLength ?? 0);
  if (!Array.isArray(value)) return true;
  const { items, minItems = 0 } = schema;
  return value.length >= minItems && (!items || value.every((item) => fits(item, items)));
}

function hasType(value: unknown, type: SchemaType): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    case 'number':
      return Number.isFinite(value);
    default:
      return typeof value === type;
  }
}

const isWithin = (value: number, schema: ValueSchema): boolean =>
  value >= (schema.minimum ?? -Infinity) &&
  value <= (schema.maximum ?? Infinity) &&
  value > (schema.exclusiveMinimum ?? -Infinity) &&
  value < (schema.exclusiveMaximum ?? Infinity);

export const number = (
  least: number,
  most = Number.POSITIVE_INFINITY,
  integer = false,
): SettingRule =>
  rule(
    `${integer ? 'an integer' : 'a number'} ` +
      `${Number.isFinite(most) ? `from ${least} to ${most}` : `of at least ${least}`}`,
    {
      type: integer ? 'integer' : 'number',
      minimum: least,
      maximum: Number.isFinite(most) ? most : undefined,
    },
  );
export const positive = rule('a number > 0', { type: 'number', exclusiveMinimum: 0 });
export const oneOf = (...allowed: readonly unknown[]): SettingRule =>
  rule(`one of ${allowed.map(String).join(', ')}`, { enum: allowed });
export const text = rule('a string', { type: 'string', minLength: 1 });
export const names = rule('a list of strings', { type: 'array', items: { type: 'string' } });
export const tokens = rule('a list of strings that are not empty', {
  type: 'array',
  items: text.schema,
});
export const positives = rule('a list of numbers > 0', {
  type: 'array',
  minItems: 1,
  items: positive.schema,
});

/** One of several forms. */
export const either = (...rules: readonly SettingRule[]): SettingRule =>
  rule(rules.map(({ must }) => must).join(', or '), { anyOf: rules.map(({ schema }) => schema) });
export const orNull = ({ must, schema }: SettingRule): SettingRule =>
  rule(`${must} or null`, { anyOf: [schema, { type: 'null' }] });
export const sizes = rule('a list of positive integers', {
  type: 'array',
  minItems: 1,
  items: number(1, 1e6, true).schema,
});
