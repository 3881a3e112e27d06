/**
 * FourierFT: the update is the real part of an inverse discrete Fourier transform of few learned
 * coefficients. Gao et al. 2024, "Parameter-Efficient Fine-Tuning with Discrete Fourier Transform":
 *
 *   Δ[o, i] = α/(out·in)·Σ_k c_k·cos(2π·(o·u_k/out + i·v_k/in))
 *
 * (u_k, v_k) are n places that layers of one shape share, drawn from a seed. As a sum over k of
 * products: cos(a + b) = cos a·cos b − sin a·sin b, a pair of columns for each coefficient.
 */
import {
  definePeftMethod,
  LAYERED_KEYS,
  normal,
  optionTable,
  queryValueTargets,
  refuseUnmatchedPatterns,
  valueAt,
  zeros,
  type ModulePattern,
} from '@peft/core';
import { spectralLinear, type Basis } from './spectrum.js';

/** Options of FourierFT. */
export interface FourierftConfig {
  /** n: coefficients of a layer. Default 1000. */
  readonly frequencies: number;
  /** α. Default 150. */
  readonly scaling: number;
  /** Seed of the places, as PyTorch draws them. Default 777. */
  readonly seed: number;
  /** Coefficients of single modules. */
  readonly frequencyPattern: ModulePattern;
  /** Start at zero; `false`: N(0, 1), as in the paper. Default false. */
  readonly initWeights: boolean;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'fourier_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    fourierft: FourierftConfig;
  }
}

/**
 * The FourierFT method: `fourierft({ frequencies: 1000 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const fourierft = definePeftMethod({
  name: 'fourierft',
  peftType: 'FOURIERFT',
  peftCommonKeys: LAYERED_KEYS,
  formula: 'y = base(x) + α·Re(IDFT₂(C))·x, C with n entries',
  paper: {
    title: 'Parameter-Efficient Fine-Tuning with Discrete Fourier Transform',
    url: 'https://arxiv.org/abs/2405.03003',
  },
  ...optionTable<FourierftConfig>(
    'fourierft',
    {
      frequencies: { default: 1000, is: 'positiveInteger', peft: 'n_frequency' },
      scaling: { default: 150, is: 'finite', peft: 'scaling' },
      seed: { default: 777, is: 'nonNegativeInteger', peft: 'random_loc_seed' },
      frequencyPattern: { default: {}, is: 'integersByModule', peft: 'n_frequency_pattern' },
      initWeights: { default: false, is: 'boolean', peft: 'init_weights' },
      bias: { default: 'none', is: ['none', 'all', 'fourier_only'], peft: 'bias' },
    },
    { fanInFanOut: true },
  ),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      const { inFeatures, outFeatures } = site;
      const { frequencyPattern } = config;
      refuseUnmatchedPatterns('fourierft', { frequencyPattern }, context);
      return spectralLinear(
        site,
        {
          name: 'fourierft_spectrum',
          count: valueAt(site.path, frequencyPattern) ?? config.frequencies,
          seed: config.seed,
          scaling: config.scaling / (inFeatures * outFeatures),
          start: config.initWeights ? zeros : normal(1),
          bias: config.bias,
          basisName: 'fourierft_basis',
          basis: fourierBasis(outFeatures, inFeatures),
        },
        context,
      );
    },
  },
});

/** Cosines, and sines with a minus on one side. */
function fourierBasis(outFeatures: number, inFeatures: number): Basis {
  // whole turns are taken off before the product gets large
  const angle = (index: number, frequency: number, size: number): number =>
    (2 * Math.PI * ((index * frequency) % size)) / size;
  return {
    pairs: [
      {
        left: (output, { row }) => Math.cos(angle(output, row, outFeatures)),
        right: (input, { column }) => Math.cos(angle(input, column, inFeatures)),
      },
      {
        left: (output, { row }) => -Math.sin(angle(output, row, outFeatures)),
        right: (input, { column }) => Math.sin(angle(input, column, inFeatures)),
      },
    ],
  };
}
