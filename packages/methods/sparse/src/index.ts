export { frod, type FrodConfig } from './frod.js';
export { shira, type ShiraConfig } from './shira.js';
export { supertuning, type SupertuningConfig } from './supertuning.js';
