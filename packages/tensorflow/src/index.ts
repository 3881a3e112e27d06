export { createTensorflowEngine, type TensorflowEngine, type TensorflowEngineOptions } from './tensorflow-engine.js';
export type { DeviceDescription } from './device-description.js';
export { findInstallations, type Installation, type InstallationSearch } from './installation.js';
