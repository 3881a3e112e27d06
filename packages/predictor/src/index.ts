export {
  chooseEngine,
  ENGINE_NAMES,
  type EngineChoice,
  type EngineName,
  type EngineRequest,
} from './engine/engine-choice.js';
export {
  HYPERPARAMETER_KEYS,
  overrideHyperparameters,
  parseScalar,
  PRESETS,
  resolveHyperparameters,
  TASK_DEFAULTS,
  type HyperparameterInput,
  type HyperparameterKey,
  type Hyperparameters,
} from './settings/hyperparameters.js';
export {
  loadLanguageModel,
  type LanguageModel,
  type LanguageModelOptions,
} from './model/language-model.js';
export { learningRateGroups, type LearningRateGroups } from './settings/learning-rate-groups.js';
export { PeftPredictor } from './peft-predictor.js';
export {
  ADAPTER_METHODS,
  ARCHITECTURES,
  CHECKPOINT_STORES,
  ENGINE_CHOOSER,
  MACHINE_MEMORY,
  MODEL_RESOLVER,
  NAMED_METHOD,
  PREDICTOR_METRICS,
  predictorModule,
  withMethods,
} from './predictor-module.js';
export type { ColumnRoles } from './tasks/column-roles.js';
export type { WritingOptions } from './tasks/predictor-task.js';
export { isTableTask, TASK_NAMES, usesAutogluonLayers, type TaskName } from './tasks/task-names.js';
export type {
  EvaluateOptions,
  FitOptions,
  FitSummary,
  LoadOptions,
  PredictOptions,
  PredictorData,
  PredictorOptions,
  ProbabilityOptions,
  ReadOptions,
  SaveOptions,
  ScoredPredictions,
  Scores,
} from './settings/predictor-types.js';
export { runSizes, scheduledSteps, type RunSizes } from './fit/run-plan.js';
