export { createStudio, type Studio } from './create-studio.js';
export type { RunRequests, StudioOptions } from './studio-options.js';
