export { PeftLayers, type LayerKind, type PeftLayersOptions } from './peft-layers.js';
export { peft } from './peft.js';
