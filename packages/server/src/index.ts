export { createServer, type PeftServer } from './create-server.js';
export { requireFreeAddress } from './http/addresses.js';
export type { ServerOptions } from './server-options.js';
export type { ServedLanguage, ServedModel, ServedPredictor } from './served-model.js';
