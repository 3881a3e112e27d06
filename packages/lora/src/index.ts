export { combineLora, COMBINATIONS, type Combination, type CombineLoraOptions } from './combine-lora.js';
export { lora } from './lora.js';
export { fastPissaInit, loftqInit, oloraInit, pissaInit } from './lora-decompositions.js';
export { type LoraConfig, strengthAt } from './lora-config.js';
export { defaultInit, gaussianInit, type LoraInitCall, type LoraInitializer, randomInit } from './lora-init.js';
export { loraPeftKeys } from './lora-peft-config.js';
export { savePlainLora, toPlainLora } from './plain-lora.js';
export { mlxFormat } from './mlx-format.js';
