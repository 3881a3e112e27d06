export {
  createWebgpuEngine,
  type WebgpuEngine,
  type WebgpuEngineOptions,
  type WebgpuUsage,
} from './webgpu-engine.js';
export { listAdapters, type AdapterDescription } from './device/adapters.js';
export { webgpuEngine } from './webgpu-definition.js';
export { webgpuSizing } from './webgpu-sizing.js';
export type { PoolUsage } from './gpu/buffer-pool.js';
export type { StreamCounts, TransferCounts } from './gpu/command-stream.js';
