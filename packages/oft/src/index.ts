export { cayleyExact, cayleySeries, skewSymmetric } from './cayley.js';
export { oft, OFT_DEFAULT_TARGETS } from './oft.js';
export { blocksOf, type OftConfig } from './oft-config.js';
