export { cayleyExact, cayleySeries, skewSymmetric } from './cayley.js';
export { oft } from './oft.js';
export { blocksOf, type OftConfig } from './oft-config.js';
export { boft, type BoftConfig } from './boft.js';
export { hra, type HraConfig } from './hra.js';
export { road, type RoadConfig } from './road.js';
export { osf, type OsfConfig } from './osf.js';
export { psoft, type PsoftConfig } from './psoft.js';
