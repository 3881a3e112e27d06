/** What a predictor can be asked to learn. */
export const TASK_NAMES = Object.freeze([
  'classification',
  'regression',
  'multi-label-classification',
  'token-classification',
  'causal-lm',
  'seq2seq',
  'embeddings',
  'ranking',
  'preference',
  'reward',
  'grpo',
] as const);
/** The name of a task. */
export type TaskName = (typeof TASK_NAMES)[number];

/** Whether a task's model writes texts. */
export const writesTexts = (task: TaskName | undefined): boolean =>
  task === 'seq2seq' || isWritingDecoder(task);

/** Whether a task's model is a decoder that writes texts. */
export const isWritingDecoder = (task: TaskName | undefined): boolean =>
  task === 'causal-lm' || task === 'preference' || task === 'grpo';

/**
 * Whether a task's methods take AutoGluon's layers where the settings name none: those of whole
 * rows and of words.
 */
export const usesAutogluonLayers = (task: TaskName | undefined): boolean =>
  readsLabels(task) || task === 'token-classification';

/** Whether a task learns from a column of labels, or several. */
export const readsLabels = (task: TaskName | undefined): boolean =>
  isTableTask(task) || task === 'multi-label-classification';

/** Whether a task labels whole rows with one label, as AutoGluon's predictor does. */
export const isTableTask = (task: TaskName | undefined): boolean =>
  task === undefined || task === 'classification' || task === 'regression';
