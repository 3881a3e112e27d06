export { vera } from './vera.js';
export { type VeraConfig } from './vera-config.js';
