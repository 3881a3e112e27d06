/**
 * AutoGluon's values of `optim.peft` as combinations of methods: what each wraps and trains.
 *
 * Wrapped are linear layers whose own name (the last part of the path) matches one of the filter's
 * regular expressions from its start; trained are what was added, `bias` everything named so,
 * `norm` the layer norms' parameters beside that. Whatever lies after the blocks (head, pooler,
 * final norm) trains always.
 */
import { bitfit } from '@peft/bitfit';
import {
  combineMethods,
  queryValueTargets,
  type MethodSpec,
  type ModelDescription,
  type TargetSelection,
} from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';

/** `ia3_lora` scales the output of a LoRA layer; `bit_fit` and `norm_fit` add nothing. */
export const AUTOGLUON_METHODS = Object.freeze([
  'bit_fit',
  'norm_fit',
  'lora',
  'lora_bias',
  'lora_norm',
  'ia3',
  'ia3_bias',
  'ia3_norm',
  'ia3_lora',
  'ia3_lora_bias',
  'ia3_lora_norm',
] as const);
/** A value of AutoGluon's `optim.peft`. */
export type AutogluonMethod = (typeof AUTOGLUON_METHODS)[number];

/** Whether AutoGluon has a value of `optim.peft` that is called so. */
export const isAutogluonMethod = (name: string): name is AutogluonMethod =>
  (AUTOGLUON_METHODS as readonly string[]).includes(name);

/** AutoGluon's options of its methods. */
export interface AutogluonMethodOptions {
  /** `optim.lora.r`. Default 8. */
  readonly rank?: number;
  /** `optim.lora.alpha`. Default 8. */
  readonly alpha?: number;
  /**
   * `optim.lora.filter`: regular expressions for the start of a layer's own name. Default queries
   * and values, and T5's q, k, v, o.
   */
  readonly filter?: readonly string[];
  /**
   * `optim.lora.module_filter`: regular expressions for the start of the path of the module around
   * it. Default any.
   */
  readonly moduleFilter?: readonly string[] | null;
  /**
   * Where the default filter names no layer of a family (DistilBERT, GPT-2, Llama), take its
   * queries and values, and its RMS norms where it has no layer norms. Default true; false is
   * AutoGluon's own behaviour, which trains the head alone there.
   */
  readonly familyTargets?: boolean;
}

/** Options that {@link autogluonMethod} knows. */
export const AUTOGLUON_OPTIONS: readonly (keyof AutogluonMethodOptions)[] = Object.freeze([
  'rank',
  'alpha',
  'filter',
  'moduleFilter',
  'familyTargets',
]);

/** `optim.lora.filter` of AutoGluon: what its methods stand on where nothing else is said. */
export const AUTOGLUON_FILTER: readonly string[] = Object.freeze([
  'query',
  'value',
  '^q$',
  '^v$',
  '^k$',
  '^o$',
]);

/**
 * Parameters after the blocks have AutoGluon's layer id 0, which trains whatever the value says.
 */
const ALWAYS_TRAINED: readonly string[] = Object.freeze([
  'head',
  'pooler',
  'ln_f',
  'final_layer_norm',
]);

/**
 * The combination that a value stands for, named after it.
 *
 * Where a filter is given and matches no layer, attaching throws PEFT_TARGET_NOT_FOUND; where the
 * default one does, the family's queries and values are wrapped (`familyTargets`). Parameters that
 * a model does not have (biases of a Llama) are left out.
 * @throws PEFT_CONFIG_INVALID for an unknown value (the nearest is named), a bad rank, alpha or
 *   filter.
 */
export function autogluonMethod(
  value: AutogluonMethod,
  options: AutogluonMethodOptions = {},
): MethodSpec {
  check.oneOf('optim.peft', 'the value', value, AUTOGLUON_METHODS);
  check.knownKeys(value, options, AUTOGLUON_OPTIONS);
  const {
    rank = 8,
    alpha = 8,
    filter = AUTOGLUON_FILTER,
    moduleFilter = null,
    familyTargets = true,
  } = options;
  check.boolean(value, 'familyTargets', familyTargets);
  const words = value.split('_');
  const targets = layerPattern(filter, moduleFilter);
  const isDefault = options.filter === undefined && moduleFilter === null;
  const wrapping = (spec: MethodSpec): MethodSpec =>
    isDefault
      ? withTargets(spec, (description) =>
          familyTargets && !namesLayers(targets, description)
            ? queryValueTargets(description)
            : { targets },
        )
      : spec;
  return combineMethods(
    value,
    ...(words.includes('lora') ? [wrapping(lora({ rank, alpha, targets }))] : []),
    ...(words.includes('ia3') ? [wrapping(ia3({ targets, feedforwardModules: [] }))] : []),
    withOptionalSites(
      bitfit({
        biases: ['bit', 'bias', 'norm'].some((word) => words.includes(word)),
        norms: normsOf(words.includes('norm'), familyTargets),
        also: ALWAYS_TRAINED,
      }),
    ),
  );
}

/** AutoGluon's norms are layer norms; a family that has RMS norms in their place trains those. */
function normsOf(isAsked: boolean, familyTargets: boolean): 'none' | 'layer' | 'own' {
  if (!isAsked) return 'none';
  return familyTargets ? 'own' : 'layer';
}

/** Whether a pattern for whole paths matches a linear layer of the model. */
function namesLayers(pattern: string, { sites }: ModelDescription): boolean {
  const whole = new RegExp(`^(?:${pattern})$`);
  return sites.some(({ kind, path }) => kind === 'linear' && whole.test(path));
}

/** With targets that depend on the model; that it has none of them is no error. */
function withTargets(
  spec: MethodSpec,
  targetsOf: (description: ModelDescription) => TargetSelection,
): MethodSpec {
  const parts = spec.parts.map(({ method, config, common: { targets: _, ...common } }) => ({
    method: {
      ...method,
      defaultTargets: (description: ModelDescription) => ({
        ...targetsOf(description),
        optional: true,
      }),
    },
    config,
    common,
  }));
  return { ...spec, parts };
}

/** With its own targets; that the model has none of them is no error. */
function withOptionalSites(spec: MethodSpec): MethodSpec {
  const parts = spec.parts.map((part) => ({
    ...part,
    method: {
      ...part.method,
      defaultTargets: (...given: Parameters<typeof part.method.defaultTargets>) => ({
        ...part.method.defaultTargets(...given),
        optional: true,
      }),
    },
  }));
  return { ...spec, parts };
}

/**
 * One regular expression for whole paths. In a filter, `^` is the start and `$` the end of the
 * layer's own name.
 */
function layerPattern(filter: readonly string[], moduleFilter: readonly string[] | null): string {
  check.strings('optim.lora', 'filter', filter);
  if (moduleFilter !== null) check.strings('optim.lora', 'module_filter', moduleFilter);
  const own = filter.map((pattern) => wholePattern(pattern, '[^.]*')).join('|');
  if (own === '')
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      'optim.lora.filter must name at least one layer, got [].',
    );
  const around = moduleFilter?.length
    ? `(?:${moduleFilter.map((pattern) => wholePattern(pattern, '.*')).join('|')})\\.`
    : '(?:.*\\.)?';
  return `${around}(?:${own})`;
}

/** A pattern that matches from the start of a text, as one for the whole text. */
function wholePattern(pattern: string, rest: string): string {
  const body = pattern.replace(/^\^/, '');
  return body.endsWith('$') && !body.endsWith('\\$') ? body.slice(0, -1) : `${body}${rest}`;
}
