export {
  createTensorflowEngine,
  type DeviceMemory,
  type TensorflowEngine,
  type TensorflowEngineOptions,
} from './tensorflow-engine.js';
export { hasFastBfloat16, type DeviceDescription } from './device-description.js';
export { cacheFolder } from './cache-folder.js';
export { probeGpus, visibleGpus, type Gpu, type GpuProbe } from './gpu/gpu-probe.js';
export { gpuMemory, type GpuMemory, visibleGpuMemory } from './gpu/gpu-memory.js';
export { cudaProblem, gpuProblem } from './gpu/gpu-problem.js';
export { findInstallations, type Installation, type InstallationSearch } from './installation.js';
export { kernelSources, SETUP_LAYOUT, type SetupRecord } from './setup-layout.js';
export { loadError } from './load-backend.js';
export { tensorflowEngine } from './tensorflow-definition.js';
export { tensorflowSizing, type TensorflowSizingOptions } from './sizing/tensorflow-sizing.js';
