/** All losses of pairs by their names. */
import { apoDownLoss } from './with-reference/apo-down.js';
import { apoZeroLoss } from './with-reference/apo-zero.js';
import { bcoPairLoss } from './with-reference/bco-pair.js';
import { cpoLoss } from './without-reference/cpo.js';
import { discopopLoss } from './with-reference/discopop.js';
import { exoPairLoss } from './with-reference/exo-pair.js';
import { hingeLoss } from './with-reference/hinge.js';
import { ipoLoss } from './with-reference/ipo.js';
import { ncaPairLoss } from './with-reference/nca-pair.js';
import { orpoLoss } from './without-reference/orpo.js';
import { robustLoss } from './with-reference/robust.js';
import { sigmoidLoss } from './with-reference/sigmoid.js';
import { sigmoidNormLoss } from './with-reference/sigmoid-norm.js';
import { simpoLoss } from './without-reference/simpo.js';
import { sppoHardLoss } from './with-reference/sppo-hard.js';
import type { PairLoss } from './pair-loss.js';

/** Every loss of pairs: TRL's names for those of its DPO trainer, and the methods without a reference. */
export const PAIR_LOSSES: readonly PairLoss[] = Object.freeze([
  sigmoidLoss,
  sigmoidNormLoss,
  hingeLoss,
  ipoLoss,
  robustLoss,
  exoPairLoss,
  ncaPairLoss,
  bcoPairLoss,
  sppoHardLoss,
  apoZeroLoss,
  apoDownLoss,
  discopopLoss,
  cpoLoss,
  simpoLoss,
  orpoLoss,
]);
