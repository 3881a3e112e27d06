/** Turns a definition into a method that can be called with its options. */
import { PeftError } from '@peft/errors';
import { given } from '../description/given.js';
import type { SiteKind } from '../description/sites.js';
import {
  COMMON_KEYS,
  type CommonConfig,
  parseCommonConfig,
} from '../description/target-selection.js';
import { markPart } from './one-core.js';
import type {
  MethodName,
  MethodPart,
  MethodSpec,
  PeftConfigs,
  PeftMethod,
  PeftMethodDefinition,
} from './peft-method.js';

/**
 * Makes a method out of its definition.
 *
 * @returns a function `(options) => MethodSpec` that also carries the definition's fields. The
 *   kinds of sites that it attaches to are in its type.
 */
export function definePeftMethod<Name extends MethodName, Kinds extends SiteKind = SiteKind>(
  definition: PeftMethodDefinition<Name> & {
    readonly attach: { readonly [Kind in Kinds]?: unknown };
  },
): PeftMethod<Name, Kinds> {
  const call = (config: Partial<PeftConfigs[Name]> & CommonConfig = {}): MethodSpec<Kinds> =>
    Object.freeze({ name: definition.name, parts: Object.freeze([configure(definition, config)]) });
  return Object.freeze(
    Object.defineProperties(call, Object.getOwnPropertyDescriptors({ ...definition })),
  ) as PeftMethod<Name, Kinds>;
}

type KindsOf<Spec> = Spec extends MethodSpec<infer Kinds> ? Kinds : never;

/**
 * A spec of a method that is known by its definition alone.
 * @throws what the method's `parseConfig` throws
 */
export const specOf = (method: PeftMethodDefinition<MethodName>, options: object): MethodSpec =>
  Object.freeze({ name: method.name, parts: Object.freeze([configure(method, options as never)]) });

function configure<Name extends MethodName>(
  definition: PeftMethodDefinition<Name>,
  input: Partial<PeftConfigs[Name]> & CommonConfig,
): MethodPart {
  const entries = Object.entries(given(input));
  const common = Object.fromEntries(entries.filter(([key]) => COMMON_KEYS.includes(key)));
  const own = Object.fromEntries(entries.filter(([key]) => !COMMON_KEYS.includes(key))) as Partial<
    PeftConfigs[Name]
  >;
  return markPart({
    method: definition,
    config: definition.parseConfig(own) as never, // see MethodPart
    common: parseCommonConfig(definition.name, common),
  });
}

/**
 * Several methods as one adapter: `combineMethods('ia3_bias', ia3(), bitfit())`. On a site that
 * several take, the later wraps the earlier.
 * @throws PEFT_METHOD_EMPTY for no method.
 */
export function combineMethods<Specs extends readonly MethodSpec[]>(
  name: string,
  ...specs: Specs
): MethodSpec<KindsOf<Specs[number]>> {
  const parts = specs.flatMap((spec) => spec.parts);
  if (parts.length === 0)
    throw new PeftError('PEFT_METHOD_EMPTY', `${name}: a combination needs at least one method.`);
  return Object.freeze({ name, parts: Object.freeze(parts) });
}
