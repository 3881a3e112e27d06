export type { Ia3Config } from './ia3-config.js';
export { ia3 } from './ia3.js';
export { IA3_DEFAULT_ROLES, IA3_DEFAULT_TARGETS } from './ia3-targets.js';
