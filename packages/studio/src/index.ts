export { createStudio, type Studio } from './create-studio.js';
export type { ExportableFormat } from './api-types.js';
export type { RunRequests, StudioOptions } from './studio-options.js';
