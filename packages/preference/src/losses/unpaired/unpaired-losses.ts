/** All losses of single answers by their names. */
import { apoZeroUnpairedLoss } from './apo-zero-unpaired.js';
import { ktoLoss } from './kto.js';
import type { UnpairedLoss } from './unpaired-loss.js';

/** Every loss of single answers. */
export const UNPAIRED_LOSSES: readonly UnpairedLoss[] = Object.freeze([
  ktoLoss,
  apoZeroUnpairedLoss,
]);
