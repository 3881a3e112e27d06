/** The settings as JSON Schema. */
import type { HyperparameterKey } from './hyperparameter-types.js';
import type { ValueSchema } from './setting-rules.js';
import { SETTINGS } from './setting-table.js';

/**
 * By dotted key, what a value must be and what it is by default: what a fit checks.
 * @example
 * settingSchemas()['optim.lr']; // { type: 'number', exclusiveMinimum: 0, default: 0.0001 }
 */
export const settingSchemas = (): Readonly<
  Record<HyperparameterKey, ValueSchema & { readonly default: unknown }>
> =>
  Object.fromEntries(
    Object.entries(SETTINGS).map(([key, setting]) => [
      key,
      { ...setting.check.schema, default: setting.default },
    ]),
  ) as Record<HyperparameterKey, ValueSchema & { readonly default: unknown }>;
