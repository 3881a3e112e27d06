/** Modules that an adapter trains whole: PEFT's `modules_to_save`, and the head's own. */
import { didYouMean, PeftError } from '@peft/errors';
import type { ModelDescription } from '../description/model-description.js';
import { tiedEmbeddings } from '../description/tied-embeddings.js';
import { tiedOutputs } from '../description/tied-outputs.js';
import type { MethodSpec } from '../method/peft-method.js';

/** The `method` of parameters that `modulesToSave` asked for. */
export const MODULES_TO_SAVE = 'modulesToSave';

/**
 * What `modulesToSave` names together with the head's modules, as PEFT adds them; an empty list
 * means none at all.
 */
export function savedModules(spec: MethodSpec, description: ModelDescription): readonly string[] {
  const asked = spec.parts
    .map(({ common }) => common.modulesToSave)
    .filter((modules) => modules !== undefined);
  if (asked.some((modules) => modules.length === 0)) return [];
  return [...new Set([...asked.flat(), ...description.headModules])];
}

/**
 * Base parameters of the modules to save.
 * @throws PEFT_TARGET_NOT_FOUND when `strict` and a named module is not there
 */
export function modulesToSave(
  spec: MethodSpec,
  description: ModelDescription,
  strict: boolean,
): string[] {
  const modules = savedModules(spec, description);
  for (const module of strict ? modules : []) {
    if (
      !description.parameters.some(({ name }) => isSaved(name, [module])) &&
      !description.headModules.includes(module) &&
      ![
        ...tiedOutputs(description).map(({ output }) => output),
        ...tiedEmbeddings(description).map(({ reader }) => reader),
      ].some(({ path }) => isSaved(`${path}.weight`, [module]))
    ) {
      throw new PeftError(
        'PEFT_TARGET_NOT_FOUND',
        `modulesToSave: no module "${module}" in ${description.modelType}.`,
        {
          hint: (
            `${didYouMean(module, moduleNames(description))} List the modules with: peft inspect ` +
            'MODEL --sites'
          ).trim(),
        },
      );
    }
  }
  return description.parameters
    .filter(({ name }) => isSaved(name, modules))
    .map(({ name }) => name);
}

/**
 * PEFT's rule: a module whose path ends with the name, also within a word (`classifier` takes
 * `pre_classifier`).
 */
export function isSaved(parameterName: string, modules: readonly string[]): boolean {
  const words = parameterName.split('.').slice(0, -1);
  return words.some((_, i) =>
    modules.some((module) =>
      words
        .slice(0, i + 1)
        .join('.')
        .endsWith(module),
    ),
  );
}

const moduleNames = (description: ModelDescription): Set<string> =>
  new Set(
    description.parameters.flatMap(({ name }) =>
      name
        .split('.')
        .slice(0, -1)
        .filter((word) => !/^\d+$/.test(word)),
    ),
  );
