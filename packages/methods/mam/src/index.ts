export { mam, type MamOptions } from './mam.js';
export { unipelt, type UniPeltOptions } from './unipelt.js';
