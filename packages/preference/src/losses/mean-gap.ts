/** How far the chosen answer is ahead by the mean of its tokens: r_w/|y_w| − r_l/|y_l| `[P]`. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import type { PairScores } from './pair-loss.js';

export const meanGap = ({ chosen, rejected, chosenLengths, rejectedLengths }: PairScores): Tensor =>
  tf.sub(tf.div(chosen, chosenLengths), tf.div(rejected, rejectedLengths));
