/** What a predictor can be asked to learn. */
export const TASK_NAMES = Object.freeze([
  'classification',
  'regression',
  'token-classification',
  'causal-lm',
  'seq2seq',
  'embeddings',
] as const);
export type TaskName = (typeof TASK_NAMES)[number];

/**
 * Whether a task's methods take AutoGluon's layers where the settings name none: those of whole
 * rows and of words.
 */
export const usesAutogluonLayers = (task: TaskName | undefined): boolean =>
  isTableTask(task) || task === 'token-classification';

/** Whether a task labels whole rows, as AutoGluon's predictor does. */
export const isTableTask = (task: TaskName | undefined): boolean =>
  task === undefined || task === 'classification' || task === 'regression';
