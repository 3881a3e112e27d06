export { adafactor, type AdafactorOptions } from './rules/adafactor.js';
export { adam, adamw, type AdamOptions } from './rules/adamw.js';
export {
  AUTOGLUON_SCHEDULES,
  autogluonSchedule,
  autogluonWarmupSteps,
  type AutogluonScheduleName,
  type AutogluonScheduleOptions,
} from './schedules/autogluon-schedule.js';
export { blockQuantizer, STATE_BLOCK, type BlockQuantizer } from './state/blockwise-8bit.js';
export {
  createOptimizer,
  OPTIMIZER_NAMES,
  type OptimizerName,
  type OptimizerOptions,
} from './rules/create-optimizer.js';
export {
  createSchedule,
  SCHEDULE_NAMES,
  type ScheduleName,
  type ScheduleOptions,
} from './schedules/create-schedule.js';
export {
  defineOptimizer,
  elementwise,
  type ElementwiseKernel,
  type OptimizerRule,
  type ParameterState,
} from './rules/define-optimizer.js';
export type { UpdateContext } from './rules/update-context.js';
export {
  assertRunsOnDevice,
  deviceStateStore,
  type DeviceStateOptions,
  type DeviceStateStore,
} from './state/device-state-store.js';
export type { StatePages } from './state/state-pages.js';
export {
  adam8bit,
  adamw8bit,
  lion8bit,
  momentum8bit,
  type EightBitOptions,
} from './state/eight-bit.js';
export {
  clipByGlobalNorm,
  clipToNorm,
  globalNorm,
  nonFiniteGradients,
  squaresOf,
  type Clipping,
} from './parameters/gradients.js';
export {
  layerIds,
  TEXT_LAYER_PATTERNS,
  type LayerIdOptions,
  type LayerIds,
} from './parameters/layer-ids.js';
export { lion, type LionOptions } from './rules/lion.js';
export {
  stateBytes,
  type InitOptions,
  type Optimizer,
  type OptimizerState,
  type UpdateOptions,
} from './rules/optimizer.js';
export { type PageSegments, type Segment } from './state/page-layout.js';
export { PageFile } from './state/page-file.js';
export { pagedStateStore, type PagedStateOptions } from './state/paged-state-store.js';
export {
  isDecayed,
  layerwiseGroups,
  loraPlusGroups,
  singleRateGroups,
  twoStageGroups,
  type GroupOptions,
  type LoraPlusOptions,
} from './parameters/parameter-groups.js';
export {
  type Gradients,
  type ParameterGroup,
  type TrainableParameter,
} from './parameters/parameter.js';
export {
  constantSchedule,
  cosineSchedule,
  cosineWithMinimumSchedule,
  cosineWithRestartsSchedule,
  inverseSqrtSchedule,
  linearSchedule,
  multiStepSchedule,
  polynomialSchedule,
  type ConstantOptions,
  type DecayOptions,
  type LearningRateSchedule,
} from './schedules/schedules.js';
export { sgd, type SgdOptions } from './rules/sgd.js';
export { memoryStateStore, type RangeVisitor, type StateStore } from './state/state-store.js';
export type { ParameterSlots, SlotSpec, StateArray } from './state/slots.js';
export { restoreState, stateTensors } from './state/state-tensors.js';
export { type TensorRule } from './rules/tensor-rule.js';
export {
  warmupStableDecaySchedule,
  type PhaseShape,
  type WarmupStableDecayOptions,
} from './schedules/warmup-stable-decay-schedule.js';
