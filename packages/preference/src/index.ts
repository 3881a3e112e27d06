export {
  TRUNCATIONS,
  type AnswerOptions,
  type AnswerRow,
  type Truncation,
} from './data/answer-encoder.js';
export { preferenceData, type PreferenceData } from './data/preference-data.js';
export {
  readContent,
  readPreference,
  type Content,
  type PreferenceRow,
} from './data/preference-rows.js';
export {
  promptData,
  promptTokens,
  type PromptBatch,
  type PromptData,
  type PromptOptions,
  type PromptRow,
} from './data/prompt-data.js';
export {
  rewardData,
  scoredTexts,
  type RewardBatch,
  type RewardData,
  type RewardDataOptions,
} from './data/reward-data.js';
export { unpairedData, type UnpairedBatch, type UnpairedData } from './data/unpaired-data.js';
export { readUnpaired, unpaired, type UnpairedRow } from './data/unpaired-rows.js';
export { fileReferenceCache } from './log-probabilities/file-reference-cache.js';
export { hashWeights, referenceIdentity } from './log-probabilities/reference-identity.js';
export {
  memoryReferenceCache,
  referenceKey,
  type ReferenceCache,
} from './log-probabilities/reference-cache.js';
export type { PairLoss, PairLossOptions, PairScores } from './losses/pair-loss.js';
export { PAIR_LOSSES } from './losses/pair-losses.js';
export type { PolicyLoss } from './losses/policy/policy-loss.js';
export { POLICY_LOSSES } from './losses/policy/policy-losses.js';
export type { UnpairedLoss, UnpairedScores } from './losses/unpaired/unpaired-loss.js';
export { UNPAIRED_LOSSES } from './losses/unpaired/unpaired-losses.js';
export { preference, type PairOutcome, type PreferenceBatch } from './tasks/preference.js';
export type { PreferenceOptions } from './tasks/preference-options.js';
export { rewardModel, rewardScore, type RewardModelOptions } from './tasks/reward-model.js';
export { unpairedPreference, type UnpairedOptions } from './tasks/unpaired-preference.js';
export { advantages, REWARD_SCALES, type RewardScale } from './rewards/advantages.js';
export {
  scoreSamples,
  type Reward,
  type RewardFunction,
  type RewardSample,
} from './rewards/reward.js';
export type { PolicyBatch } from './sampling/policy-batch.js';
export { repeatBatches } from './sampling/repeat-batches.js';
export {
  sampleGroups,
  type SampledGroup,
  type SamplingOptions,
} from './sampling/sample-completions.js';
export {
  groupPolicy,
  policyLoss,
  tokenReference,
  type GroupPolicyOptions,
} from './tasks/group-policy.js';
