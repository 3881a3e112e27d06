/**
 * BitFit: trains the biases that a model has and nothing else; optionally the norms, too. Ben Zaken
 * et al. 2022, "BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked
 * Language-models".
 *
 * A bias is what its name says, by AutoGluon's regular expression `.*bias*.`: any parameter whose
 * name has "bia" with at least one character after it. T5's `relative_attention_bias.weight` is
 * one.
 */
import {
  definePeftMethod,
  type ModelDescription,
  type ParameterSpec,
  type TargetSelection,
} from '@peft/core';
import { check, PeftError, show } from '@peft/errors';

/** Options of BitFit. */
export interface BitFitConfig {
  /** Train the biases. Default true. */
  readonly biases: boolean;
  /**
   * Also train every parameter of the norms: none, layer norms, RMS norms as well, or those that
   * the model has (`own`: layer norms, RMS norms where there are none). Default `none`.
   */
  readonly norms: 'none' | 'layer' | 'all' | 'own';
  /** Also train parameters whose name contains one of these. Default none. */
  readonly also: readonly string[];
}

declare module '@peft/core' {
  interface PeftConfigs {
    bitfit: BitFitConfig;
  }
}

const BIAS_NAME = /^.*bias*..*$/;

/**
 * The BitFit method: no new parameters, so that merging is exact.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; on a model without biases
 *   PEFT_METHOD_UNSUPPORTED.
 */
export const bitfit = definePeftMethod({
  name: 'bitfit',
  formula: 'y = W·x + b, b learned',
  paper: {
    title:
      'BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models',
    url: 'https://arxiv.org/abs/2106.10199',
  },

  parseConfig(input): BitFitConfig {
    check.knownKeys('bitfit', input, ['biases', 'norms', 'also']);
    const { biases = true, norms = 'none', also = [] } = input;
    check.boolean('bitfit', 'biases', biases);
    check.oneOf('bitfit', 'norms', norms, ['none', 'layer', 'all', 'own']);
    if (!Array.isArray(also) || !also.every((word) => typeof word === 'string' && word !== ''))
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `bitfit: also must be a list of words, got ${show(also)}.`,
      );
    if (!biases && norms === 'none' && also.length === 0)
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        'bitfit: there is nothing to train without biases and norms.',
        { hint: "set biases: true, norms: 'own' or also: ['pooler']" },
      );
    return { biases, norms, also };
  },

  defaultTargets(
    description,
    config,
  ): TargetSelection & { optional?: boolean; lacks: readonly string[] } {
    const targets = namesOf(description, config);
    const isHead = (name: string): boolean =>
      description.headModules.some((module) => name.startsWith(`${module}.`));
    // the head trains anyway, and is no target: nothing else is left of a model without biases
    const isHeadAlone = targets.length > 0 && targets.every(isHead);
    const body = description.parameters.filter(({ name }) => !isHead(name));
    const lacks = [
      ...(config.biases && !body.some(({ name }) => BIAS_NAME.test(name)) ? ['biases'] : []),
      ...(config.norms !== 'none' && !body.some(isTrainedNorm(config, description))
        ? [config.norms === 'layer' ? 'layer norms' : 'norms']
        : []),
    ];
    return { targets, optional: isHeadAlone || (!config.biases && config.norms === 'none'), lacks };
  },

  attach: {
    parameter(site, _config, context) {
      context.unfreeze(site.path);
      return undefined;
    },
  },
});

function namesOf(description: ModelDescription, config: BitFitConfig): string[] {
  const isNorm = isTrainedNorm(config, description);
  return description.parameters
    .filter(
      (spec) =>
        !(spec.isBuffer ?? false) &&
        ((config.biases && BIAS_NAME.test(spec.name)) ||
          isNorm(spec) ||
          config.also.some((word) => spec.name.includes(word))),
    )
    .map(({ name }) => name);
}

function isTrainedNorm(
  { norms }: BitFitConfig,
  { parameters }: ModelDescription,
): (spec: ParameterSpec) => boolean {
  const isOfAnyKind =
    norms === 'all' || (norms === 'own' && !parameters.some(({ norm }) => norm === 'layer'));
  return ({ norm }) => norms !== 'none' && norm !== undefined && (isOfAnyKind || norm === 'layer');
}
