export { adalora, ADALORA_DEFAULT_TARGETS } from './adalora.js';
export { type AdaloraConfig } from './adalora-config.js';
export { RankAllocator, type Triplet } from './rank-allocator.js';
