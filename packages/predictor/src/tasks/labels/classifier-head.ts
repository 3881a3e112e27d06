/** Which head a task of whole rows trains, where no rule of AutoGluon's says so. */
import type { HeadOptions } from '@peft/core';
import type { JsonObject } from '@peft/hub';
import type { BaseModel } from '../../model/base-model.js';
import type { Hyperparameters } from '../../settings/hyperparameter-types.js';

/** The family's own head under transformers' names, or one linear layer on the pooled state. */
export type ClassifierHead = 'sequence-classification' | 'pooled-linear';

export const classifierHead = (
  kind: ClassifierHead,
  outputs: number,
  settings: Hyperparameters,
): HeadOptions =>
  kind === 'sequence-classification'
    ? { kind, outputs }
    : {
        kind,
        outputs,
        pooling: settings['model.hf_text.pooling_mode'] === 'mean' ? 'mean' : 'first',
      };

/**
 * The family's own head, unless the checkpoint has one of another size, the family none, or the
 * settings ask for the mean over tokens.
 */
export function classifierConfig(
  { architecture, config }: BaseModel,
  outputs: number,
  settings: Hyperparameters,
): ClassifierHead {
  const isOwn = architecture.heads.includes('sequence-classification');
  const labels = hasClassifier(config) ? labelCount(config) : outputs;
  return isOwn && labels === outputs && settings['model.hf_text.pooling_mode'] === 'cls'
    ? 'sequence-classification'
    : 'pooled-linear';
}

/** Whether a checkpoint was saved with a classifier of sequences. */
export const hasClassifier = ({ architectures }: JsonObject): boolean =>
  Array.isArray(architectures) &&
  architectures.some((name) => /ForSequenceClassification$/.test(String(name)));

/** As transformers counts labels: by `id2label`, else `num_labels`, else 2. */
export function labelCount({ id2label, num_labels: given }: JsonObject): number {
  if (typeof id2label === 'object' && id2label !== null) return Object.keys(id2label).length;
  return typeof given === 'number' ? given : 2;
}

/**
 * Names of the labels that a checkpoint tells apart.
 * @returns undefined unless it is a classifier of that `problem_type`
 */
export const labelsOfCheckpoint = (
  config: JsonObject,
  problemType: string,
): readonly string[] | undefined =>
  hasClassifier(config) && config['problem_type'] === problemType ? namesOf(config) : undefined;

/** `id2label` in the order of its ids. */
function namesOf({ id2label }: JsonObject): readonly string[] | undefined {
  if (typeof id2label !== 'object' || id2label === null) return undefined;
  const names = Object.entries(id2label as JsonObject)
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, name]) => String(name));
  return names.length > 0 && new Set(names).size === names.length ? names : undefined;
}
