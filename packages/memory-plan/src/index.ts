export {
  chooseSettings,
  firstBlocks,
  requireFit,
  suggestSettings,
  type Suggestion,
} from './plan/choose-settings.js';
export { cutStages, stageWork, type CutRequest } from './plan/cut-stages.js';
export { formatPlan, gigabytes } from './plan/format-plan.js';
export type { GpuPlan, PlannedGpu } from './plan/gpu-plan.js';
export { machineMemory, type MachineMemory } from './plan/machine-memory.js';
export {
  type Checkpointing,
  type MeasuredModel,
  type MeasureRequest,
  type PlannedBatch,
  type PlannedStage,
  type PlannedTask,
  sizeModel,
} from './sizing/measure-step.js';
export {
  createPlanner,
  type MemoryPlan,
  planMemory,
  type Planner,
  type PlanRequest,
  type RunSettings,
} from './plan/plan-memory.js';
export { storedDtypeOf } from './sizing/stored-dtype.js';
