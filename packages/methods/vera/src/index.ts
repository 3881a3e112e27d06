export { vera } from './vera.js';
export { type VeraConfig } from './vera-config.js';
export { mersenneTwister, torchUniform } from './mersenne-twister.js';
