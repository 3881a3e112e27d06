/**
 * C3A: the update consists of circulant blocks, each a circular convolution with a learned kernel.
 * Chen et al. 2025, "Parameter-Efficient Fine-Tuning via Circular Convolution":
 *
 *   y_m[j] = base(x)_m[j] + 1/in·Σ_n Σ_t w_mn[(t − j) mod b]·x_n[t]
 *
 * x and y are cut into blocks of b features; kernels w `[out/b, in/b, b]`. The paper multiplies
 * Fourier transforms; here the blocks are written out, which costs as much as a plain layer.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  normal,
  optionTable,
  queryValueTargets,
  refuseUnmatchedPatterns,
  unfreezeBiases,
  uniform,
  valueAt,
  zeros,
  type Initializer,
  type LinearSite,
  type ModulePattern,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { differentiable, gatherRows, linear } from '@peft/ops';

/** Options of C³A. */
export interface C3aConfig {
  /** b: divides inputs and outputs. Default 256. */
  readonly blockSize: number;
  /** b of single modules. */
  readonly blockSizePattern: ModulePattern;
  /** Start of the kernels; true: zero, false: as `xavier_uniform`. Default `xavier_uniform`. */
  readonly initWeights: boolean | 'gaussian' | 'kaiming_uniform' | 'xavier_uniform';
  /**
   * `peft-0.21`: the gradient of the input as that version has it, which turns the kernel round
   * (w[(t + j) mod b]) and so teaches the layers below something else; to compare runs with it.
   * Default `exact`.
   */
  readonly inputGradient: 'exact' | 'peft-0.21';
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'c3a_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    c3a: C3aConfig;
  }
}

/**
 * The C3A method: `c3a({ blockSize: 256 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const c3a = definePeftMethod({
  name: 'c3a',
  peftType: 'C3A',
  peftCommonKeys: ['target_modules', 'layers_to_transform', 'layers_pattern', 'modules_to_save'],
  formula: 'y = base(x) + 1/in·blocks(w ⋆ x), ⋆ circular convolution',
  paper: {
    title: 'Parameter-Efficient Fine-Tuning via Circular Convolution',
    url: 'https://arxiv.org/abs/2407.19342',
  },
  ...optionTable<C3aConfig>('c3a', {
    blockSize: { default: 256, is: 'positiveInteger', peft: 'block_size' },
    blockSizePattern: { default: {}, is: 'integersByModule', peft: 'block_size_pattern' },
    initWeights: {
      default: 'xavier_uniform',
      is: [true, false, 'gaussian', 'kaiming_uniform', 'xavier_uniform'],
      peft: 'init_weights',
    },
    inputGradient: { default: 'exact', is: ['exact', 'peft-0.21'] },
    bias: { default: 'none', is: ['none', 'all', 'c3a_only'], peft: 'bias' },
  }),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      const { blockSizePattern } = config;
      refuseUnmatchedPatterns('c3a', { blockSizePattern }, context);
      unfreezeBiases(config.bias, site, context);
      const size = valueAt(site.path, blockSizePattern) ?? config.blockSize;
      const [rows, columns] = [site.outFeatures / size, site.inFeatures / size];
      if (!Number.isInteger(rows) || !Number.isInteger(columns))
        throw new PeftError(
          'PEFT_CONFIG_INVALID',
          `c3a: the block size must divide both sides of ${site.path} ` +
            `[${site.outFeatures}, ${site.inFeatures}], got ${size}.`,
          { hint: 'blockSizePattern gives single modules a size of their own' },
        );
      const kernels = context.param(
        'c3a_kernel',
        [rows, columns, size],
        startOf(config.initWeights, site),
      );
      /** Δ `[out, in]`; `sign` +1 turns the kernels round. */
      const update = (sign: 1 | -1 = -1): Tensor2D => {
        const places = Int32Array.from({ length: size * size }, (_, at) => {
          const [j, t] = [Math.floor(at / size), at % size];
          return (t + sign * j + size) % size;
        });
        const byPlace = tf.transpose(tf.reshape(kernels.value, [rows * columns, size])) as Tensor2D;
        const blocks = tf.reshape(gatherRows(byPlace, places), [
          size,
          size,
          rows,
          columns,
        ]) as Tensor4D; // [j, t, m, n]
        return tf.div(
          tf.reshape(tf.transpose(blocks, [2, 0, 3, 1]), [site.outFeatures, site.inFeatures]),
          site.inFeatures,
        );
      };
      return {
        forward: (x, base) =>
          tf.add(
            base(x),
            config.inputGradient === 'exact'
              ? linear(x, update())
              : linearWithInputGradient(x, update(), () => update(1)),
          ),
        merge: ({ weight, bias }) => ({ weight: tf.add(weight, update()), bias }),
      };
    },
  },
});

/** x·Δᵀ, whose gradient of x is dy times another matrix. */
function linearWithInputGradient(x: Tensor2D, update: Tensor2D, other: () => Tensor2D): Tensor2D {
  return differentiable<'x' | 'update', Tensor2D>(
    { x, update },
    (save) => {
      save([x, other()]);
      return tf.matMul(x, update, false, true);
    },
    ({ dy, saved: [input, turned] }) => ({
      x: tf.matMul(dy as Tensor2D, turned as Tensor2D),
      update: tf.matMul(dy as Tensor2D, input as Tensor2D, true),
    }),
  );
}

function startOf(
  init: C3aConfig['initWeights'],
  { inFeatures, outFeatures }: LinearSite,
): Initializer {
  if (init === true) return zeros;
  if (init === 'gaussian') return normal(1);
  const bound =
    init === 'kaiming_uniform'
      ? Math.sqrt(1 / inFeatures)
      : Math.sqrt(6 / (inFeatures + outFeatures));
  return uniform(-bound, bound);
}
