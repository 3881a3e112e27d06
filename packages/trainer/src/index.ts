export {
  adapterLayerIds,
  layerwiseDecay,
  singleRate,
  twoStages,
  type AdapterGroupOptions,
  type AdapterGroups,
} from './step/adapter-groups.js';
export {
  causalLanguageModel,
  causalTargets,
  type CausalBatch,
  type CausalTargets,
} from './tasks/causal-language-model.js';
export type {
  Checkpoint,
  CheckpointStore,
  OpenCheckpoint,
} from './checkpoints/checkpoint-store.js';
export { activationBytes, chooseCheckpointing } from './step/checkpointing-choice.js';
export {
  classification,
  type ClassificationBatch,
  type ClassificationOptions,
} from './tasks/classification.js';
export { systemClock, type Clock } from './run/clock.js';
export { beats, type Score } from './validation/score.js';
export {
  observeScore,
  START_OF_EARLY_STOPPING,
  type Direction,
  type EarlyStoppingOptions,
  type EarlyStoppingState,
} from './validation/early-stopping.js';
export {
  embeddings,
  truncateEmbedding,
  type EmbeddingBatch,
  type EmbeddingsOptions,
} from './tasks/embeddings.js';
export {
  createEvaluator,
  type Evaluate,
  type Evaluation,
  type EvaluatorOptions,
} from './validation/evaluation.js';
export {
  folderCheckpointStore,
  openCheckpointFolder,
} from './checkpoints/folder-checkpoint-store.js';
export { listRuns, type KnownRuns, type ListedRun } from './run-folder/list-runs.js';
export { createRunFolder, EVENTS_FILE, RUN_FILE, type RunFolder } from './run-folder/run-folder.js';
export {
  parseRunRecord,
  RUN_FORMAT,
  RUN_VERSION,
  type RunEnvironment,
  type RunFacts,
  type RunRecord,
} from './run-folder/run-record.js';
export { pipelineCosts, type PipelineCosts, type PipelinePlan } from './pipeline/pipeline-costs.js';
export { rankPlace, type PipelinePlace } from './pipeline/place.js';
export { requireSharedTask, type SharedModel } from './ranks/require-shared-task.js';
export { runLocalRanks } from './ranks/local-ranks.js';
export { shardCosts, type ShardCosts, type ShardPlan } from './shards/shard-costs.js';
export { gradientCopies, rankCosts, type RankCosts, type RankPlan } from './ranks/rank-costs.js';
export { byRankZero, gatherValues } from './ranks/rank-messages.js';
export { requireSameRanks } from './ranks/run-ranks.js';
export { createJsonlLog } from './listeners/jsonl-log.js';
export { createMlflowLog, type MlflowLog, type MlflowLogOptions } from './listeners/mlflow-log.js';
export { createTensorBoardLog } from './listeners/tensorboard-log.js';
export { isLoraUp, loraPlus } from './step/lora-plus.js';
export { memoryCheckpointStore } from './checkpoints/memory-checkpoint-store.js';
export {
  multiLabelClassification,
  type MultiLabelBatch,
  type MultiLabelOptions,
} from './tasks/multi-label-classification.js';
export type { NonFiniteOptions } from './step/non-finite-guard.js';
export { predict, type Predictions, type PredictOptions } from './validation/predict.js';
export {
  ranking,
  RANKING_LOSSES,
  type RankingBatch,
  type RankingLoss,
  type RankingOptions,
} from './tasks/ranking.js';
export { regression, type RegressionBatch, type RegressionOptions } from './tasks/regression.js';
export type { TrainRequest } from './run/run-context.js';
export type { RunSettings } from './run/run-settings.js';
export type { RunState } from './checkpoints/run-state.js';
export type { WeightedBatch } from './tasks/row-weights.js';
export { seq2seqLanguageModel, type Seq2SeqBatch } from './tasks/seq2seq-language-model.js';
export {
  averageParameters,
  greedySoup,
  uniformSoup,
  type ParameterValues,
  type SoupResult,
} from './checkpoints/soup.js';
export {
  forwardTask,
  prepareTask,
  type Measure,
  type NamedMeasures,
  type Report,
  type StepPlan,
  type Task,
} from './tasks/task.js';
export { tokenLosses, type Targets, type TokenLosses } from './tasks/language-model-loss.js';
export {
  tokenClassification,
  type TokenClassificationBatch,
  type TokenClassificationOptions,
} from './tasks/token-classification.js';
export { enterTop, rankTop, type ScoredCheckpoint } from './checkpoints/top-checkpoints.js';
export { plannedSteps, train, type TrainResult } from './run/train.js';
export {
  classificationScore,
  labelSetScore,
  perplexityScore,
  rankingScore,
  regressionScore,
  retrievalScore,
  tagScore,
  type ClassificationScoreOptions,
} from './validation/scores.js';
export {
  SELECTIONS,
  type Selection,
  type TrainOptions,
  type ValidationOptions,
} from './run/train-options.js';
export {
  CHECKPOINT_STORE,
  CLOCK,
  COLLECTIVE,
  ENGINE,
  EVENT_BUS,
  RANDOM_SEED,
  TRAINER,
  trainerModule,
  type Trainer,
  type TrainerModuleOptions,
} from './run/trainer-module.js';
export {
  createBatchOrder,
  tableData,
  type BatchOrder,
  type TableDataOptions,
  type TrainingData,
} from './validation/training-data.js';
export {
  isCheckDue,
  type RunPosition,
  type ValidationInterval,
} from './validation/validation-schedule.js';
export type { SelectedWeights } from './checkpoints/weight-selection.js';
