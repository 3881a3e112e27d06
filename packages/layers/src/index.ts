export { PeftLayers, type PeftLayersOptions } from './peft-layers.js';
export { peft } from './peft.js';
