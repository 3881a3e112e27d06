export { pvera, type PveraConfig } from './pvera.js';
export { randlora, type RandloraConfig } from './randlora.js';
export { tinylora, type TinyloraConfig } from './tinylora.js';
export { unilora, type UniloraConfig } from './unilora.js';
export { vblora, type VbloraConfig } from './vblora.js';
export { vera } from './vera.js';
export { type VeraConfig } from './vera-config.js';
