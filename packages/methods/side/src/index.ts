export { controlnet, type ControlNetConfig } from './controlnet.js';
export { ladder, type LadderConfig } from './ladder.js';
