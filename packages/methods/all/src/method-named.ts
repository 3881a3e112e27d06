/** From a name and options to what a model is fine-tuned with. */
import type { MethodSpec, PeftConfigs } from '@peft/core';
import { check, didYouMean, PeftError } from '@peft/errors';
import { allMethods, type NamedMethod } from './all-methods.js';
import {
  AUTOGLUON_METHODS,
  AUTOGLUON_OPTIONS,
  autogluonMethod,
  isAutogluonMethod,
  type AutogluonMethod,
  type AutogluonMethodOptions,
} from './autogluon-methods.js';
import { COMBINATIONS, type CombinationName } from './combinations.js';

/**
 * A name that {@link methodNamed} knows: a method's, also a third party's that adds its options to
 * `PeftConfigs` of `@peft/core`, a combination's, or AutoGluon's.
 */
export type KnownMethodName =
  Extract<keyof PeftConfigs, string> | CombinationName | AutogluonMethod;

/** Where a name is looked up. */
export interface MethodNamedSettings {
  /** Further methods, which come before ours. */
  readonly plugins?: readonly NamedMethod[];
  /**
   * Whose layers `lora` and `ia3` take without options: AutoGluon's (queries and values, the head
   * and what lies after the blocks), or those that the method's own package takes. Default `own`.
   */
  readonly layers?: 'autogluon' | 'own';
}

/** Every name that {@link methodNamed} knows, plug-ins first. */
export const methodNames = (plugins: readonly NamedMethod[] = []): readonly string[] => [
  ...new Set<string>([
    ...[...plugins, ...allMethods].map(({ name }) => name),
    ...Object.keys(COMBINATIONS),
    ...AUTOGLUON_METHODS,
  ]),
];

/**
 * The spec of a method by name: `lora`, `houlsby`, `ia3_bias`, `full`, a plug-in's.
 *
 * @param options go to the method's own parser; AutoGluon's combinations take those of
 *   {@link AutogluonMethodOptions}
 * @returns what `model.addAdapter` and the predictor's `fit` take
 * @throws PEFT_METHOD_UNKNOWN with the nearest name; PEFT_CONFIG_UNKNOWN_KEY and
 *   PEFT_CONFIG_INVALID for options that the method does not take
 * @example
 *   methodNamed('lora', { rank: 4 });
 */
export function methodNamed(
  name: string,
  options: Readonly<Record<string, unknown>> = {},
  { plugins = [], layers = 'own' }: MethodNamedSettings = {},
): MethodSpec {
  const own = [...plugins, ...allMethods].find((method) => method.name === name);
  const isAsAutogluon =
    layers === 'autogluon' && Object.keys(options).every((key) => key === 'familyTargets');
  if (isAutogluonMethod(name) && (isAsAutogluon || !own)) {
    check.knownKeys(name, options, AUTOGLUON_OPTIONS);
    return autogluonMethod(name, options as AutogluonMethodOptions);
  }
  // the method's own parser checks the options
  if (own) return own(options as never);
  if (Object.hasOwn(COMBINATIONS, name)) return COMBINATIONS[name]!(options as never);
  const names = methodNames(plugins);
  throw new PeftError('PEFT_METHOD_UNKNOWN', `there is no method ${JSON.stringify(name)}.`, {
    hint: `${didYouMean(name, names)} Known: ${names.join(', ')}. A third party's is loaded with --plugin.`.trim(),
  });
}
