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

/** Whether a task labels whole rows, as AutoGluon's predictor does. */
export const isTableTask = (task: TaskName | undefined): boolean =>
  task === undefined || task === 'classification' || task === 'regression';
