export { cayleyExact, cayleySeries, skewSymmetric } from './cayley.js';
export { oft } from './oft.js';
export { blocksOf, type OftConfig } from './oft-config.js';
