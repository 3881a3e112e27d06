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
/** What to ask for, by what else it is called. */
export const OTHER_TASK_NAMES: Readonly<Record<string, string>> = Object.freeze({
  dpo: 'DPO is what preference learns by: its setting optim.preference_loss is sigmoid by default',
  ...Object.fromEntries(
    ['ipo', 'cpo', 'orpo', 'kto', 'simpo'].map((loss) => [
      loss,
      `${loss.toUpperCase()} is a loss of preference: give the setting optim.preference_loss=${loss}`,
    ]),
  ),
  sft: 'supervised training on texts or chats is causal-lm',
  ppo: 'rewards of what a model writes are learnt from by grpo',
  rlhf: 'from pairs of answers learns preference, from rewards of what a model writes grpo',
});
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
