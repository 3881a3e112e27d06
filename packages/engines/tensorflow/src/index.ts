export {
  createTensorflowEngine,
  type DeviceMemory,
  type TensorflowEngine,
  type TensorflowEngineOptions,
} from './tensorflow-engine.js';
export { hasFastBfloat16, type DeviceDescription } from './device-description.js';
export { cacheFolder } from './cache-folder.js';
export { probeGpus, visibleGpus, type Gpu, type GpuProbe } from './gpu-probe.js';
export { gpuMemory, type GpuMemory, visibleGpuMemory } from './gpu-memory.js';
export { gpuProblem } from './gpu-problem.js';
export { findInstallations, type Installation, type InstallationSearch } from './installation.js';
export {
  DEFAULT_TENSORFLOW,
  setupTensorflow,
  type SetupOptions,
  type SetupResult,
} from './setup/setup-tensorflow.js';
