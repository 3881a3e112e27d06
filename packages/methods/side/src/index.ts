export { controlnet, type ControlNetConfig } from './controlnet.js';
export { ladder, type LadderConfig } from './ladder.js';
export type { ShadowConfig } from './shadow-config.js';
export { shadow } from './shadow.js';
