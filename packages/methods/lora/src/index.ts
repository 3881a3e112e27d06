export {
  combineLora,
  COMBINATIONS,
  type Combination,
  type CombineLoraOptions,
} from './combinations/combine-lora.js';
export { lora } from './lora.js';
export {
  fastPissaInit,
  loftqInit,
  oloraInit,
  pissaInit,
} from './decompositions/lora-decompositions.js';
export { type LoraConfig, strengthAt } from './lora-config.js';
export type { DataStartOptions } from './data-starts/data-start-options.js';
export { defaultInit, gaussianInit, orthogonalInit, randomInit } from './variants/lora-init.js';
export type { LoraInitCall, LoraInitializer } from './variants/lora-initializer.js';
export type { BlockDiagonal, KasaTerms, VeloraOptions } from './variants/variant-options.js';
export { loraPeftKeys } from './formats/lora-peft-config.js';
export { savePlainLora, toPlainLora } from './combinations/plain-lora.js';
export { nearestLora, type NearestLora, type SiteEnergy } from './combinations/nearest-lora.js';
export {
  reduceIntruders,
  type ReducedIntruders,
  type ReduceIntrudersOptions,
} from './combinations/reduce-intruders.js';
export { arrow, type ArrowConfig } from './routing/arrow.js';
export { xlora } from './xlora/xlora.js';
export type { XloraConfig } from './xlora/xlora-config.js';
export { routeLora, type RouteLoraOptions } from './routing/route-lora.js';
export { mlxFormat } from './formats/mlx-format.js';
