export { adapter } from './adapter.js';
export { adapterFusion, type FusionConfig } from './adapter-fusion.js';
export { BOTTLENECK_DEFAULTS, type BottleneckConfig } from './bottleneck-config.js';
export {
  adapterPlus,
  compacter,
  compacterPlusPlus,
  houlsby,
  invertibleAdapter,
  parallelAdapter,
  pfeiffer,
  scaledParallelAdapter,
} from './named-adapters.js';
export { NAMED_ADAPTERS } from './named-configs.js';
