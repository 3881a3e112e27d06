export {
  TRUNCATIONS,
  type AnswerOptions,
  type AnswerRow,
  type Truncation,
} from './data/answer-encoder.js';
export { preferenceData, type PreferenceData } from './data/preference-data.js';
export { readPreference, type Content, type PreferenceRow } from './data/preference-rows.js';
export {
  memoryReferenceCache,
  referenceKey,
  type ReferenceCache,
} from './log-probabilities/reference-cache.js';
export type { PairLoss, PairLossOptions, PairScores } from './losses/pair-loss.js';
export { PAIR_LOSSES } from './losses/pair-losses.js';
export { preference, type PairOutcome, type PreferenceBatch } from './tasks/preference.js';
export type { PreferenceOptions } from './tasks/preference-options.js';
