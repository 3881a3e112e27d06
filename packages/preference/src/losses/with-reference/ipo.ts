/**
 * IPO: (Δ − 1/(2β))², Δ = r_w/|y_w| − r_l/|y_l|, r = ln π/π_ref summed over the |y| tokens of an answer (Azar et
 * al. 2023, eq. 17). The paper leaves out the means; TRL takes them, as its authors do.
 */
import * as tf from '@tensorflow/tfjs';
import { meanGap } from '../mean-gap.js';
import type { PairLoss } from '../pair-loss.js';

export const ipoLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'ipo',
  hasReference: true,
  losses: (scores, { beta }) => tf.square(tf.sub(meanGap(scores), 1 / (2 * beta))),
});
