export { adafactor, type AdafactorOptions } from './adafactor.js';
export { adam, adamw, type AdamOptions } from './adamw.js';
export { AUTOGLUON_SCHEDULES, autogluonSchedule, autogluonWarmupSteps, type AutogluonScheduleName, type AutogluonScheduleOptions } from './autogluon-schedule.js';
export { blockQuantizer, STATE_BLOCK, type BlockQuantizer } from './blockwise-8bit.js';
export { createOptimizer, OPTIMIZER_NAMES, type OptimizerName, type OptimizerOptions } from './create-optimizer.js';
export { createSchedule, SCHEDULE_NAMES, type ScheduleName, type ScheduleOptions } from './create-schedule.js';
export { defineOptimizer, elementwise, type ElementwiseKernel, type OptimizerRule, type ParameterState, type UpdateContext } from './define-optimizer.js';
export { assertRunsOnDevice, deviceStateStore, type DeviceStateOptions, type DeviceStateStore, type StatePages } from './device-state-store.js';
export { adam8bit, adamw8bit, lion8bit, momentum8bit, type EightBitOptions } from './eight-bit.js';
export { clipByGlobalNorm, globalNorm, nonFiniteGradients, type Clipping } from './gradients.js';
export { layerIds, TEXT_LAYER_PATTERNS, type LayerIdOptions, type LayerIds } from './layer-ids.js';
export { lion, type LionOptions } from './lion.js';
export { stateBytes, type InitOptions, type Optimizer, type OptimizerState, type UpdateOptions } from './optimizer.js';
export { type PageSegments, type Segment } from './page-layout.js';
export { PageFile } from './page-file.js';
export { pagedStateStore, type PagedStateOptions } from './paged-state-store.js';
export { isDecayed, layerwiseGroups, loraPlusGroups, singleRateGroups, twoStageGroups, type GroupOptions, type LoraPlusOptions } from './parameter-groups.js';
export { type Gradients, type ParameterGroup, type TrainableParameter } from './parameter.js';
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
} from './schedules.js';
export { sgd, type SgdOptions } from './sgd.js';
export { memoryStateStore, type ParameterSlots, type RangeVisitor, type SlotSpec, type StateArray, type StateStore } from './state-store.js';
export { restoreState, stateTensors } from './state-tensors.js';
export { type TensorRule } from './tensor-rule.js';
export { warmupStableDecaySchedule, type PhaseShape, type WarmupStableDecayOptions } from './warmup-stable-decay-schedule.js';
