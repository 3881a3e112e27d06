export { DEFAULT_TENSORFLOW, type SetupOptions } from './setup-options.js';
export { setupTensorflow, type SetupResult } from './setup-tensorflow.js';
