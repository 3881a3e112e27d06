export { factorization } from './factorization.js';
export { loha, type LohaConfig } from './loha.js';
export { lokr, type LokrConfig } from './lokr.js';
export { type LycorisConfig } from './lycoris-config.js';
