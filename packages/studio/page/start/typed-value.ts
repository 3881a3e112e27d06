/** What is typed into a setting's field, as the value that the schema wants. */
import type { SettingSchema } from '../../src/api-types.js';

/** undefined for an empty field: the default counts. */
export function typedValue(text: string, schema: SettingSchema): unknown {
  const trimmed = text.trim();
  if (trimmed === '') return undefined;
  if (takesList(schema) && !trimmed.startsWith('[') && !isChoice(trimmed, schema))
    return trimmed.split(',').map((item) => scalar(item.trim()));
  return scalar(trimmed);
}

/** The values that a setting may have, where they can be counted. */
export function choicesOf(schema: SettingSchema): readonly unknown[] | undefined {
  if (schema.enum) return schema.enum;
  if (!schema.anyOf) return schema.type === 'null' ? [null] : undefined;
  const choices = schema.anyOf.map(choicesOf);
  return choices.includes(undefined) ? undefined : choices.flatMap((each) => each ?? []);
}

const takesList = (schema: SettingSchema): boolean =>
  [schema.type].flat().includes('array') || (schema.anyOf?.some(takesList) ?? false);

/** One of the words that stand beside a list. */
const isChoice = (text: string, schema: SettingSchema): boolean =>
  schema.const === text ||
  (schema.enum?.includes(text) ?? false) ||
  (schema.anyOf?.some((each) => isChoice(text, each)) ?? false);

function scalar(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
