/**
 * The bottleneck: up(x) = scale·(W_u·f(W_d·n(x) + b_d) + b_u), n the identity or a layer norm, W_d
 * `[R, D]`, W_u `[D, R]`; then dropout, a gate per sequence, the adapter's own residual and a layer
 * norm, each where asked for.
 *
 * Houlsby et al. 2019; gates: Mao et al. 2022; learned scale: He et al. 2022; per channel: Steitz
 * and Roth 2024.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  kaimingUniform,
  normal,
  ones,
  uniform,
  zeros,
  type AttachmentCall,
  type AttachContext,
  type Initializer,
  type MatrixParameter,
  type VectorParameter,
} from '@peft/core';
import {
  activate,
  activationNamed,
  layerNorm,
  linear,
  randomNormal,
  sequenceGate,
  spreadOverTokens,
} from '@peft/ops';
import type { BottleneckConfig } from './bottleneck-config.js';
import { phmProjection } from './phm-projection.js';
import type { Projection } from './projection.js';

/** torch's default of `nn.LayerNorm`. */
const EPSILON = 1e-5;

export interface BottleneckNetwork {
  /** Before dropout, gate and residual. x `[N, D]` → `[N, D]`. */
  up(x: Tensor2D, call: AttachmentCall): Tensor2D;
  /** What becomes of `up(x)`. @param residual the adapter's own, if it has one. */
  finish(up: Tensor2D, x: Tensor2D, residual: Tensor2D | undefined, call: AttachmentCall): Tensor2D;
}

/** Makes the parameters of one block. @param width D. @param size R. */
export function makeBottleneck(
  width: number,
  size: number,
  config: BottleneckConfig,
  context: AttachContext,
): BottleneckNetwork {
  const starts = STARTS[config.initWeights];
  const before = config.lnBefore ? norm('adapter_norm_before', width, context) : undefined;
  const down = projection(
    config.lnBefore ? 'adapter_down.1' : 'adapter_down.0',
    'down',
    [size, width],
    starts.down,
    config,
    context,
  );
  const up = projection('adapter_up', 'up', [width, size], starts.up, config, context);
  const scaling =
    typeof config.scaling === 'number'
      ? undefined
      : context.param('scaling', [config.scaling === 'learned' ? 1 : width], ones);
  const after = config.lnAfter ? norm('adapter_norm_after', width, context) : undefined;
  const bound = 1 / Math.sqrt(width);
  const gate = config.useGating
    ? {
        weight: context.param('gate.weight', [1, width], starts.gate ?? kaimingUniform),
        bias: context.param('gate.bias', [1], starts.gate ? zeros : uniform(-bound, bound)),
      }
    : undefined;
  const activation = activationNamed(config.nonLinearity);
  return {
    up(x, call) {
      const made = skipped(
        up(activate(activation, down(before ? before(x) : x))),
        config.stochasticDepth,
        call,
      );
      const factor = scaling?.value ?? config.scaling;
      return factor === 1 ? made : tf.mul<Tensor2D>(made, factor as Tensor2D | number);
    },
    finish(made, x, residual, call) {
      const dropped = call.dropout(made, config.dropout);
      const gated = gate ? tf.mul<Tensor2D>(dropped, gateOf(x, gate, call)) : dropped;
      const plus = (y: Tensor2D): Tensor2D => (residual ? tf.add(y, residual) : y);
      if (!after) return plus(gated);
      return config.adapterResidualBeforeLn ? after(plus(gated)) : plus(after(gated));
    },
  };
}

/**
 * How weights start, by adapter-hub's names; a gate without a start of its own is torch's
 * `nn.Linear`.
 */
const STARTS: Readonly<
  Record<
    BottleneckConfig['initWeights'],
    { readonly down: Initializer; readonly up: Initializer; readonly gate?: Initializer }
  >
> = {
  bert: { down: normal(0.02), up: normal(0.02), gate: normal(0.02) },
  mam_adapter: { down: kaimingUniform, up: zeros, gate: normal(0.02) },
  houlsby: { down: truncatedNormal(0.01), up: truncatedNormal(0.01) },
};

/** N(0, σ²) without what lies beyond 2σ, which is drawn anew. */
function truncatedNormal(standardDeviation: number): Initializer {
  return (shape, key) => {
    const size = shape.reduce((product, length) => product * length, 1);
    return Float32Array.from({ length: size }, (_, i) => {
      let z = randomNormal(key, i);
      for (let round = 1; Math.abs(z) > 2; round += 1) z = randomNormal(key, i + round * size);
      return standardDeviation * z;
    });
  };
}

function projection(
  name: string,
  position: 'down' | 'up',
  shape: readonly [number, number],
  start: Initializer,
  config: BottleneckConfig,
  context: AttachContext,
): Projection {
  if (config.phmLayer) return phmProjection(name, position, shape, config, context);
  const weight = context.param(`${name}.weight`, shape, start);
  const bias = context.param(`${name}.bias`, [shape[0]], zeros);
  return (x) => linear(x, weight.value, bias.value);
}

function norm(name: string, width: number, context: AttachContext): Projection {
  const gamma = context.param(`${name}.weight`, [width], ones);
  const beta = context.param(`${name}.bias`, [width], zeros);
  return (x) => layerNorm(x, gamma.value, beta.value, EPSILON);
}

/** `[N, 1]` */
function gateOf(
  x: Tensor2D,
  { weight, bias }: { readonly weight: MatrixParameter; readonly bias: VectorParameter },
  call: AttachmentCall,
): Tensor2D {
  const offsets = call.layout(x.shape[0]);
  return spreadOverTokens(sequenceGate(x, weight.value, bias.value, offsets), offsets);
}

/**
 * Stochastic depth (Huang et al. 2016): whole sequences are zeroed with the given probability, the
 * others divided by the rest of it.
 */
function skipped(x: Tensor2D, rate: number, call: AttachmentCall): Tensor2D {
  if (rate === 0 || !call.training) return x;
  const offsets = call.layout(x.shape[0]);
  return tf.mul(
    x,
    spreadOverTokens(call.dropout(tf.ones([offsets.length - 1, 1]), rate, 'depth'), offsets),
  );
}
