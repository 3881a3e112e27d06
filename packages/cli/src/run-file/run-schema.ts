/** JSON Schema of run files and of the settings in them, for editors: made of the tables. */
import { settingSchemas } from '@peft/predictor';
import { FIT_OPTIONS } from '../options/fit-option-table.js';
import type { FitOption, OptionKind } from '../options/option-kinds.js';

type Schema = Readonly<Record<string, unknown>>;

const DRAFT = 'http://json-schema.org/draft-07/schema#';
const TEXT = { type: 'string' };
const TEXTS = { anyOf: [TEXT, { type: 'array', items: TEXT }] };

const KIND_SCHEMAS: Readonly<Record<OptionKind, Schema>> = Object.freeze({
  text: TEXT,
  path: TEXT,
  paths: TEXTS,
  reference: TEXT,
  references: TEXTS,
  names: TEXTS,
  scalar: { type: ['string', 'number', 'boolean'] },
  positiveInteger: { type: 'integer', minimum: 1 },
  nonNegativeInteger: { type: 'integer', minimum: 0 },
  positiveNumber: { type: 'number', exclusiveMinimum: 0 },
  boolean: { type: 'boolean' },
  keyValues: { type: 'object' },
});

/** Settings under dotted keys, and nested. @param descriptions by dotted key */
export function settingsSchema(descriptions: Readonly<Record<string, string>> = {}): Schema {
  const leaves = Object.entries(settingSchemas()).map(
    ([key, schema]) => [key, { description: descriptions[key], ...schema }] as const,
  );
  return {
    $schema: DRAFT,
    title: 'Settings of a fit of @peft/predictor',
    ...nested(leaves),
  };
}

/** Of the keys below a prefix: those with dots as they are, and groups of them. */
function nested(leaves: readonly (readonly [string, Schema])[]): Schema {
  const groups = new Set(
    leaves.flatMap(([key]) => (key.includes('.') ? [key.split('.')[0]!] : [])),
  );
  const grouped = [...groups].map((group) => [
    group,
    nested(
      leaves
        .filter(([key]) => key.startsWith(`${group}.`))
        .map(([key, schema]) => [key.slice(group.length + 1), schema]),
    ),
  ]);
  return {
    type: 'object',
    additionalProperties: false,
    // settings under the names of older versions of AutoGluon
    patternProperties: { '^optimization\\.?': {} },
    properties: Object.fromEntries([...leaves, ...grouped]) as Schema,
  };
}

/** A run file of `peft fit -c`. @param descriptions of settings, by dotted key */
export function runFileSchema(descriptions: Readonly<Record<string, string>> = {}): Schema {
  const { $schema, title, ...settings } = settingsSchema(descriptions);
  const values: Readonly<Record<string, object>> = settingSchemas();
  const options = Object.entries(FIT_OPTIONS as Readonly<Record<string, FitOption>>).filter(
    ([, { isFlagOnly }]) => !isFlagOnly,
  );
  const schemaOf = ({ kind, choices, setting, help }: FitOption): Schema => ({
    description: help,
    ...(setting !== undefined && kind === 'scalar' ? values[setting] : KIND_SCHEMAS[kind]),
    enum: choices,
  });
  return {
    $schema,
    title: 'Run file of peft fit',
    description: `${String(title)}, under hyperparameters, and the options of the command.`,
    type: 'object',
    additionalProperties: false,
    properties: {
      train: { description: 'the training data: a table or a text file', ...TEXT },
      ...Object.fromEntries(
        options.map(([name, option]) => [
          name,
          name === 'hyperparameters' ? { description: option.help, ...settings } : schemaOf(option),
        ]),
      ),
    },
  };
}
