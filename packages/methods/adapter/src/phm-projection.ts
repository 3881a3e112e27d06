/**
 * A projection whose matrix is a sum of Kronecker products (parameterised hypercomplex
 * multiplication):
 *
 *   y = x·H + b, H = Σ_i A_i ⊗ W_i, A_i `[d, d]`, W_i `[in/d, out/d]`, W_i = L_i·R_i where factorised
 *
 * Mahabadi et al. 2021, "Compacter", eq. 4 and 5. The A_i may be shared by all projections of an
 * adapter.
 */
import * as tf from '@tensorflow/tfjs';
import type { Rank, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import {
  constant,
  normal,
  uniform,
  zeros,
  type AdapterParameter,
  type AttachContext,
  type Initializer,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { randomNormal } from '@peft/ops';
import type { BottleneckConfig } from './bottleneck-config.js';
import type { Projection } from './projection.js';

/** How unshared first factors start: N(0, 0.01²) or U(−0.01, 0.01). */
const OWN_RULE_RANGE = 0.01;

/** @param shape `[out, in]`. @throws PEFT_CONFIG_INVALID when `phmDim` does not divide a width. */
export function phmProjection(
  name: string,
  position: 'down' | 'up',
  [outFeatures, inFeatures]: readonly [number, number],
  config: BottleneckConfig,
  context: AttachContext,
): Projection {
  const { phmDim: d } = config;
  for (const [side, width] of [
    ['input', inFeatures],
    ['output', outFeatures],
  ] as const) {
    if (width % d !== 0)
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `adapter: phmDim ${d} does not divide the ${side} width ${width} of the ${position}-projection.`,
        { hint: 'choose another phmDim or reductionFactor' },
      );
  }
  const rule = ruleOf(name, config, context);
  const matrices = matricesOf(name, position, inFeatures / d, outFeatures / d, config, context);
  const bias = config.phmBias ? context.param(`${name}.b`, [outFeatures], zeros) : undefined;
  return (x) => {
    const y = tf.matMul(x, kroneckerSum(rule(), matrices(), [inFeatures, outFeatures])) as Tensor2D;
    return bias ? tf.add<Tensor2D>(y, bias.value) : y;
  };
}

/** Σ_i A_i ⊗ W_i: A `[d, d, d]`, W `[d, p, q]` → `[d·p, d·q]`. */
export function kroneckerSum(a: Tensor3D, w: Tensor3D, shape: [number, number]): Tensor2D {
  const [d, rows, columns] = w.shape;
  const [, aRows, aColumns] = a.shape;
  // [(a b), (p q)]
  const products = tf.matMul(tf.reshape(a, [d, -1]), tf.reshape(w, [d, -1]), true, false);
  return tf.reshape(
    tf.transpose(tf.reshape(products, [aRows, aColumns, rows, columns]), [0, 2, 1, 3]),
    shape,
  );
}

function ruleOf(
  name: string,
  {
    phmDim: d,
    factorizedPhmRule,
    sharedPhmRule,
    phmCInit,
    phmInitRange,
    learnPhm,
  }: BottleneckConfig,
  context: AttachContext,
): () => Tensor3D {
  const range = sharedPhmRule ? phmInitRange : OWN_RULE_RANGE;
  const start =
    phmCInit === 'normal'
      ? normal(range)
      : uniform(sharedPhmRule ? -1 : -OWN_RULE_RANGE, sharedPhmRule ? 1 : OWN_RULE_RANGE);
  const make = (
    part: string,
    shape: readonly [number, number, number],
  ): AdapterParameter<Rank.R3> =>
    sharedPhmRule
      ? context.sharedParam(`shared_parameters.${part}`, shape, start, { trainable: learnPhm })
      : context.param(`${name}.${part}`, shape, start, { trainable: learnPhm });
  return factorizedPhmRule
    ? factored(make('phm_rule_left', [d, d, 1]), make('phm_rule_right', [d, 1, d]))
    : whole(make('phm_rule', [d, d, d]));
}

function matricesOf(
  name: string,
  position: 'down' | 'up',
  rows: number,
  columns: number,
  { phmDim: d, phmRank, factorizedPhmW, sharedWPhm }: BottleneckConfig,
  context: AttachContext,
): () => Tensor3D {
  const make = (
    part: string,
    shape: readonly [number, number, number],
  ): AdapterParameter<Rank.R3> =>
    sharedWPhm
      ? context.sharedParam(`shared_parameters.W_${position}${part}`, shape, glorotNormal)
      : context.param(`${name}.W${part}`, shape, glorotNormal);
  return factorizedPhmW
    ? factored(make('_left', [d, rows, phmRank]), make('_right', [d, phmRank, columns]))
    : whole(make('', [d, rows, columns]));
}

const whole = (parameter: AdapterParameter<Rank.R3>) => (): Tensor3D => parameter.value;
const factored =
  (left: AdapterParameter<Rank.R3>, right: AdapterParameter<Rank.R3>) => (): Tensor3D =>
    tf.matMul(left.value, right.value);

/** N(0, 2/(rows + columns)) for each of a stack of matrices. */
const glorotNormal: Initializer = (shape, key) => {
  const standardDeviation = Math.sqrt(2 / (shape[1]! + shape[2]!));
  return Float32Array.from(
    constant(0)(shape, key),
    (_, i) => standardDeviation * randomNormal(key, i),
  );
};
