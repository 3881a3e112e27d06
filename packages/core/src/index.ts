export { PeftError } from '@peft/errors';
export { Adapter } from './adapter/adapter.js';
export { attachAdapter, type AttachOptions } from './adapter/attach-adapter.js';
export { savedModules } from './adapter/modules-to-save.js';
export { type WeightHost } from './adapter/weight-host.js';
export {
  checkSavable,
  loadAdapter,
  saveAdapter,
  type LoadAdapterOptions,
  type LoadedAdapter,
  type SaveAdapterOptions,
} from './files/adapter-files.js';
export { readAdapterSpec, type AdapterKinds } from './files/adapter-folder.js';
export { adapterVocabulary, type AdapterVocabulary } from './files/adapter-vocabulary.js';
export { adapterCard, type AdapterCard } from './files/adapter-card.js';
export { adapterHubFormat, hubAbout, hubHeadModules } from './files/adapter-hub-format.js';
export { packExperts } from './files/expert-packing.js';
export { holdsAdapter, readAdapterFolder, type AdapterInFolder } from './files/inner-adapters.js';
export { peftFormat } from './files/peft-format.js';
export {
  fromHubTargets,
  toHubTargets,
  type HubLoraTargets,
} from './files/adapter-hub-lora-targets.js';
export { hubPlace, hubPrefixName } from './files/adapter-hub-places.js';
export { peftTypeOf } from './files/peft-config.js';
export {
  architectureFor,
  defineArchitecture,
  type Architecture,
  type ModelBatch,
  type ModelOutput,
  type OutputLayer,
} from './model/architecture.js';
export {
  compose,
  override,
  token,
  type App,
  type Bind,
  type Module,
  type Resolver,
  type Token,
} from './app/container.js';
export { combineMethods, definePeftMethod, specOf } from './method/define-peft-method.js';
export * from './app/collective.js';
export * from './app/events.js';
export {
  constant,
  kaimingUniform,
  normal,
  ones,
  uniform,
  values,
  xavierUniform,
  zeros,
  type Initializer,
  type WholeNumbers,
} from './description/initializers.js';
export { KeyValueCache, rowsOf } from './model/cache/key-value-cache.js';
export { keyValueBytes } from './model/cache/key-value-bytes.js';
export type { KeyValues } from './model/cache/cached-rows.js';
export { adapterCounts } from './model/adapter-counts.js';
export {
  checkConfigSizes,
  loadModel,
  type ModelOptions,
  type ModelWith,
} from './model/load-model.js';
export { describeModel } from './model/form/describe-model.js';
export type { AdapterStatus } from './model/adapter-status.js';
export { Model } from './model/model.js';
export {
  parameterCount,
  parameterSites,
  type HeadOptions,
  type ModelDescription,
  type ParameterSpec,
} from './description/model-description.js';
export { patternFor, valueAt, type ModulePattern } from './description/module-pattern.js';
export * from './method/option-table.js';
export { siteAt } from './description/site-index.js';
export {
  deviationOf,
  probeBatch,
  probedValues,
  type MergeDeviation,
  type MergeResult,
} from './model/merging/merge-probe.js';
export { headRows, oneRowEach } from './model/head-rows.js';
export { BASE_ADAPTER } from './model/mixed-batch.js';
export { trainStep } from './model/train-step.js';
export { ModelRun } from './model/model-run.js';
export { type ExtraKeyValues, type RunHost, type RunOptions } from './model/run-options.js';
export * from './method/adapter-file.js';
export * from './method/attach-context.js';
export * from './method/attachment.js';
export * from './method/peft-method.js';
export { computesFromBase } from './method/computes-from-base.js';
export * from './method/start-from-data.js';
export * from './method/importance-scores.js';
export { modelTasks, requireTaskIds, taskCountOf } from './method/task-count.js';
export { openModel, type OpenModelOptions } from './open/open-model.js';
export { type ImportPackage } from './open/installed-packages.js';
export { isDecoder, pool } from './model/pooled-head.js';
export {
  convertedWeights,
  quantizableWeights,
  type WeightQuantization,
} from './description/quantizable.js';
export { queryValueTargets } from './description/query-value-targets.js';
export { type AdapterHubNames, type FamilyConventions } from './description/family-conventions.js';
export {
  isFirstStage,
  isLastStage,
  requireStage,
  requireStages,
  runStage,
  type Stage,
  type StageRanks,
  type StageResult,
} from './model/stage/stage.js';
export { requireShards, sharedMatrices } from './model/shards/shard-loading.js';
export { ShardedBlocks } from './model/shards/sharded-blocks.js';
export { blocksOfParameters, stageParameters } from './model/stage/stage-parameters.js';
export { randomWeights } from './model/weights/random-weights.js';
export {
  SITE_KINDS,
  type AttentionSite,
  type EmbeddingSite,
  type LinearSite,
  type NormSite,
  type ParameterSite,
  type SequenceSite,
  type Site,
  type SiteKind,
  type SiteOf,
  type StackSite,
  type SublayerSite,
} from './description/sites.js';
export { stackSites } from './model/stack/stack-sites.js';
export {
  COMMON_KEYS,
  isInModules,
  matchesSuffix,
  selectSites,
  type CommonConfig,
  type SelectOptions,
  type TargetSelection,
} from './description/target-selection.js';
export { fullMatch, type PathPattern } from './description/path-pattern.js';
export { tiedOutputs, type TiedOutput } from './description/tied-outputs.js';
export { tiedEmbeddings, wordTables, type TiedEmbedding } from './description/tied-embeddings.js';
export {
  vocabularyModules,
  withVocabularySize,
  type VocabularyModules,
} from './description/vocabulary.js';
export { unfreezeBiases } from './method/unfreeze-biases.js';
export { refuseUnmatchedPatterns } from './method/unmatched-patterns.js';
export { trainableOutputRows, trainableRows } from './method/trainable-rows.js';
export {
  loadWeights,
  type LoadWeightsOptions,
  type ModelWeights,
} from './model/weights/weights.js';
export type { WeightStore } from './model/weights/weight-store.js';
