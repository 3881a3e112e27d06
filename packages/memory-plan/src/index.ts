export { chooseSettings, firstBlocks, requireFit, suggestSettings, type Suggestion } from './choose-settings.js';
export { formatPlan, gigabytes } from './format-plan.js';
export type { GpuPlan, PlannedGpu } from './gpu-plan.js';
export { machineMemory, type MachineMemory } from './machine-memory.js';
export { type Checkpointing, type MeasuredModel, type MeasureRequest, type PlannedBatch, type PlannedTask, sizeModel } from './measure-step.js';
export { createPlanner, type MemoryPlan, planMemory, type Planner, type PlannedEngine, type PlanRequest, type RunSettings } from './plan-memory.js';
export { storedDtypeOf } from './stored-dtype.js';
export { weightBytes } from './sizing-engine.js';
