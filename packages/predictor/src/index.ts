export {
  chooseEngine,
  ENGINE_MAKERS,
  ENGINE_NAMES,
  type EngineChoice,
  type EngineMakers,
  type EngineName,
  type EngineRequest,
} from './engine/engine-choice.js';
export {
  parseScalar,
  uncheckedHyperparameters,
  type HyperparameterInput,
  type NestedHyperparameters,
  type UncheckedHyperparameters,
} from './settings/hyperparameter-input.js';
export type { HyperparameterKey, Hyperparameters } from './settings/hyperparameter-types.js';
export { overrideHyperparameters, resolveHyperparameters } from './settings/hyperparameters.js';
export {
  METRIC_NAMES,
  uncheckedMetric,
  type KnownMetrics,
  type MetricInput,
  type MetricName,
  type UncheckedMetricName,
} from './settings/metric-names.js';
export { PRESETS, TASK_DEFAULTS, type PresetName } from './settings/presets.js';
export { settingSchemas } from './settings/setting-schemas.js';
export type { ValueSchema } from './settings/setting-rules.js';
export { HYPERPARAMETER_KEYS } from './settings/setting-table.js';
export {
  loadLanguageModel,
  type LanguageModel,
  type LanguageModelOptions,
} from './model/language-model.js';
export {
  loadTrainedModel,
  type TrainedModel,
  type TrainedModelOptions,
} from './model/trained-model.js';
export { copyModelFiles, type BaseModel, type SavedFields } from './model/base-model.js';
export { textsOfBase, type LanguageTexts } from './model/language-texts.js';
export { learningRateGroups, type LearningRateGroups } from './settings/learning-rate-groups.js';
export { PeftPredictor } from './peft-predictor.js';
export {
  loadPredictorThread,
  startPredictorThread,
  type PredictorThread,
  type ThreadOptions,
} from './thread/predictor-thread.js';
export {
  receiveError,
  sendError,
  type SentError,
  type ThreadPlugins,
} from './thread/thread-messages.js';
export { startWorker } from './thread/start-worker.js';
export {
  ADAPTER_METHODS,
  ARCHITECTURES,
  CHECKPOINT_STORES,
  ENGINE_CHOOSER,
  ENGINES,
  MACHINE_MEMORY,
  PIPELINE,
  SHARDED_BASE,
  MODEL_RESOLVER,
  NAMED_METHOD,
  PREDICTOR_METRICS,
  predictorModule,
  withArchitectures,
  withEngines,
  withMethods,
  type AnyArchitecture,
} from './predictor-module.js';
export { importPlugins, requirePluginName } from './plugins/import-plugins.js';
export {
  isPredictorPlugin,
  loadPredictorPlugins,
  predictorPluginModules,
  sortPlugins,
  type PredictorPlugins,
} from './plugins/predictor-plugins.js';
export { TASK_ROLES, type ColumnRoles } from './tasks/column-roles.js';
export type { RankedDocument, WritingOptions } from './tasks/predictor-task.js';
export type { RankOptions } from './tasks/ranking/rank-options.js';
export {
  isTableTask,
  isWritingDecoder,
  readsLabels,
  OTHER_TASK_NAMES,
  TASK_NAMES,
  usesAutogluonLayers,
  writesTexts,
  type TaskName,
} from './tasks/task-names.js';
export type {
  EvaluateOptions,
  FitOptions,
  FitSummary,
  LoadOptions,
  PredictOptions,
  PredictorData,
  PredictorDescription,
  PredictorOptions,
  ProbabilityOptions,
  ReadOptions,
  SaveOptions,
  ScoredPredictions,
  Scores,
} from './settings/predictor-types.js';
export type { SpeedEstimate } from './preview/estimate-speed.js';
export { runSizes, scheduledSteps, type RunSizes } from './fit/run-plan.js';
export {
  previewFit,
  previewFitData,
  type FitDataPreview,
  type FitPreview,
} from './preview/preview-fit.js';
