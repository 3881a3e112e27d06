/**
 * A bidirectional LSTM over one sequence (Hochreiter and Schmidhuber 1997), gates in torch's order
 * i, f, g, o:
 *
 *   [i, f, g, o] = W_ih·x_t + b_ih + W_hh·h_{t−1} + b_hh, c_t = σ(f) ⊙ c_{t−1} + σ(i) ⊙ tanh(g), h_t = σ(o) ⊙ tanh(c_t)
 *
 * Each further layer reads [→h_t, ←h_t] of the one before.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { uniform, type AttachContext } from '@peft/core';
import { gatherRows, linear } from '@peft/ops';

/** Dropout of `x` in a stream of that name. */
export type Dropout = (x: Tensor2D, rate: number, purpose: string) => Tensor2D;

export interface LstmOptions {
  /** Of the input. */
  readonly width: number;
  /** Of a state, H. */
  readonly size: number;
  readonly layers: number;
  /** Between layers. */
  readonly dropout: number;
}

type Direction = (x: Tensor2D) => Tensor2D;

/**
 * Makes parameters that all sites share, under torch's names; all start as U(−1/√H, 1/√H). x `[T,
 * width]` → `[T, 2H]`
 */
export function bidirectionalLstm(
  name: string,
  { width, size, layers, dropout: rate }: LstmOptions,
  context: AttachContext,
): (x: Tensor2D, dropout: Dropout) => Tensor2D {
  const stack = Array.from(
    { length: layers },
    (_, layer) =>
      ['', '_reverse'].map((suffix) =>
        direction(
          `_l${layer}${suffix}`,
          name,
          layer === 0 ? width : 2 * size,
          size,
          suffix !== '',
          context,
        ),
      ) as [Direction, Direction],
  );
  return (x, dropout) =>
    stack.reduce((input, [forward, backward], layer) => {
      const read = layer > 0 ? dropout(input, rate, `lstm ${layer}`) : input;
      return tf.concat([forward(read), backward(read)], 1);
    }, x);
}

function direction(
  suffix: string,
  name: string,
  width: number,
  size: number,
  isReverse: boolean,
  context: AttachContext,
): Direction {
  const bound = 1 / Math.sqrt(size);
  const param = <const Shape extends readonly number[]>(kind: string, shape: Shape) =>
    context.sharedParam(`${name}.${kind}${suffix}`, shape, uniform(-bound, bound));
  const inputWeight = param('weight_ih', [4 * size, width]);
  const stateWeight = param('weight_hh', [4 * size, size]);
  const inputBias = param('bias_ih', [4 * size]);
  const stateBias = param('bias_hh', [4 * size]);
  return (x) => {
    const length = x.shape[0];
    const inputs = linear(x, inputWeight.value, inputBias.value); // [T, 4H]
    let [h, c]: [Tensor2D, Tensor2D] = [tf.zeros([1, size]), tf.zeros([1, size])];
    const states = new Array<Tensor2D>(length);
    for (let step = 0; step < length; step += 1) {
      const t = isReverse ? length - 1 - step : step;
      const gates = tf.add<Tensor2D>(
        gatherRows(inputs, Int32Array.of(t)),
        linear(h, stateWeight.value, stateBias.value),
      );
      const [i, f, g, o] = tf.split(gates, 4, 1) as [Tensor2D, Tensor2D, Tensor2D, Tensor2D];
      c = tf.add(tf.mul(tf.sigmoid(f), c), tf.mul(tf.sigmoid(i), tf.tanh(g)));
      h = tf.mul(tf.sigmoid(o), tf.tanh(c));
      states[t] = h;
    }
    return tf.concat(states, 0);
  };
}
