/** Settings that only some tasks read: where another is asked to, that is an error. */
import { PeftError, show } from '@peft/errors';
import type { TaskName } from '../tasks/task-names.js';
import type { HyperparameterKey, Hyperparameters } from './hyperparameter-types.js';
import { SETTINGS } from './setting-table.js';

const CLASSES: readonly TaskName[] = ['classification', 'multi-label-classification'];
const LABELS: readonly TaskName[] = [...CLASSES, 'regression'];

/** Who reads them. */
const READ_BY: Readonly<Partial<Record<HyperparameterKey, readonly TaskName[]>>> = Object.freeze({
  'optim.label_smoothing': [...CLASSES, 'preference'],
  'optim.preference_loss': ['preference'],
  'optim.preference_beta': ['preference'],
  'optim.preference_margin': ['preference'],
  'optim.likelihood_weight': ['preference'],
  'optim.desirable_weight': ['preference'],
  'optim.undesirable_weight': ['preference'],
  'optim.center_rewards': ['reward'],
  'optim.group_size': ['grpo'],
  'optim.policy_loss': ['grpo'],
  'optim.kl_weight': ['grpo'],
  'optim.reward_scale': ['grpo'],
  'optim.policy_updates': ['grpo'],
  'optim.clip_low': ['grpo'],
  'optim.clip_high': ['grpo'],
  'optim.reference_cache': ['preference'],
  'data.truncation': ['preference'],
  'optim.focal_gamma': CLASSES,
  'optim.class_weights': ['classification'],
  'optim.positive_weights': ['multi-label-classification'],
  'data.label_separator': ['multi-label-classification'],
  'data.label_threshold': ['multi-label-classification'],
  'data.text_pairs': LABELS,
  'optim.ranking_loss': ['ranking'],
  'optim.ranking_margin': ['ranking'],
  'optim.matryoshka_dimensions': ['embeddings'],
  'optim.matryoshka_weights': ['embeddings'],
  'model.hf_text.truncate_dim': ['embeddings'],
});

/** @throws PEFT_CONFIG_INVALID for a setting that differs from its default and is not read */
export function requireReadSettings(task: TaskName, settings: Hyperparameters): void {
  for (const [name, tasks] of Object.entries(READ_BY)) {
    const key = name as HyperparameterKey;
    if (tasks.includes(task) || settings[key] === SETTINGS[key].default) continue;
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `predictor: ${task} does not read the setting ${key} (${show(settings[key])}).`,
      { hint: `leave it out; it is read by ${tasks.join(', ')}` },
    );
  }
}
