/**
 * Learning rate and weight decay of each trained parameter, by AutoGluon's rules on the names that
 * AutoGluon has: `model.<backbone parameter>`, `head.*`.
 */
import type { ModelDescription, OwnedParameter } from '@peft/core';
import {
  layerIds,
  layerwiseGroups,
  singleRateGroups,
  twoStageGroups,
  type ParameterGroup,
} from '@peft/optim';
import { PeftError } from '@peft/errors';
import { isLoraUp, loraPlus } from '@peft/trainer';
import type { Hyperparameters } from './hyperparameter-types.js';

/** A learning rate and weight decay for each parameter. */
export interface LearningRateGroups {
  group(parameter: OwnedParameter): ParameterGroup;
  /**
   * A sentence when the names could not be understood and all parameters have the plain rate, where
   * layers were to have different ones.
   */
  readonly problem?: string;
}

type GroupSettings = Pick<
  Hyperparameters,
  | 'optim.lr_choice'
  | 'optim.lr_decay'
  | 'optim.lr_mult'
  | 'optim.weight_decay'
  | 'optim.lora_plus_ratio'
>;

/**
 * `layerwise_decay`: lr·lr_decay^id, id 0 for head, pooler and final norms, 1 for the last block, N
 * for the first, N + 1 before the blocks. A parameter that a method added has the id of the module
 * that it stands on. Norms and biases do not decay; IA3 and LoRA do. LoRA's B has `lora_plus_ratio` times
 * its rate.
 * @throws PEFT_CONFIG_INVALID for a ratio where there is no B
 */
export function learningRateGroups(
  description: ModelDescription,
  parameters: readonly OwnedParameter[],
  settings: GroupSettings,
): LearningRateGroups {
  const isHead = (name: string): boolean =>
    description.headModules.some((module) => name === module || name.startsWith(`${module}.`));
  const outer = (name: string): string => (isHead(name) ? name : `model.${name}`);
  const { ids: baseIds, problem } = layerIds(description.parameters.map(({ name }) => outer(name)));
  const ids = new Map(baseIds);
  for (const { name, site } of parameters) {
    if (ids.has(outer(name))) continue;
    const neighbour = site && nearestParameter(description, site.path, site.layer);
    ids.set(outer(name), (neighbour !== undefined && baseIds.get(outer(neighbour))) || 0);
  }
  const names = parameters.map(({ name }) => outer(name));
  const options = {
    weightDecay: settings['optim.weight_decay'],
    normParameters: new Set(
      description.parameters.filter(({ norm }) => norm === 'layer').map(({ name }) => outer(name)),
    ),
  };
  const byChoice = {
    single_stage: () => singleRateGroups(names, options),
    two_stages: () =>
      twoStageGroups(names, { ...options, headMultiplier: settings['optim.lr_mult'], ids }),
    layerwise_decay: () =>
      layerwiseGroups(names, { ...options, layerDecay: settings['optim.lr_decay'], ids }),
  };
  const groups = byChoice[settings['optim.lr_choice']]();
  return {
    group: withRatio(
      ({ name }) => groups.get(outer(name))!,
      parameters,
      settings['optim.lora_plus_ratio'],
    ),
    problem: dependsOnLayers(settings) ? problem : undefined,
  };
}

function withRatio(
  group: LearningRateGroups['group'],
  parameters: readonly OwnedParameter[],
  ratio: number,
): LearningRateGroups['group'] {
  if (ratio === 1) return group;
  if (parameters.some(isLoraUp)) return loraPlus(group, ratio);
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `predictor: optim.lora_plus_ratio is ${ratio}, and nothing that trains is LoRA's.`,
    { hint: 'choose the method lora, or leave the ratio out' },
  );
}

/** With one rate for all, or a decay of 1, no layer id changes a step. */
const dependsOnLayers = (settings: GroupSettings): boolean =>
  settings['optim.lr_choice'] === 'two_stages' ||
  (settings['optim.lr_choice'] === 'layerwise_decay' && settings['optim.lr_decay'] !== 1);

/** A base parameter of the site's module, else one of its block. */
function nearestParameter(
  description: ModelDescription,
  path: string,
  layer: number | undefined,
): string | undefined {
  const inside = description.parameters.find(({ name }) => name.startsWith(`${path}.`));
  if (inside || layer === undefined) return inside?.name;
  return description.sites
    .flatMap((site) => (site.layer === layer && 'weight' in site ? [site.weight] : []))
    .at(0);
}
