/**
 * WaveFT: the update is an inverse discrete wavelet transform of few learned coefficients. Bilican
 * et al. 2025, "Exploring Sparsity for Parameter Efficient Fine Tuning Using Wavelets":
 *
 *   Δ = s·R_out·C·R_inᵀ,  R = [L H],  L[2j + t − p, j] = low_t, H[2j + t − p, j] = high_t
 *
 * C has n entries at places drawn from a seed. It is padded to an even size that is larger by the
 * filter's length − 2, of which p = ⌊(2·length − 3)/2⌋ falls off on either side. The quadrants of C
 * are, as PEFT numbers them, approximation, horizontal, vertical, diagonal: the upper right one is
 * high along the rows and low along the columns.
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
  type AttachContext,
  type LinearSite,
  type ModulePattern,
} from '@peft/core';
import { spectralLinear, type Basis, type Place } from './spectrum.js';
import { WAVELET_FILTERS } from './wavelet-filters.js';

/** Options of WaveFT. */
export interface WaveftConfig {
  /** n: coefficients of a layer. Default 2592. */
  readonly frequencies: number;
  /** s. Default 25. */
  readonly scaling: number;
  /** Family and vanishing moments: `db1` … `db10`, `sym2` … `sym10`, `coif1` … `coif3`. */
  readonly wavelet: string;
  /** Transform the coefficients; `false`: they are elements of the update themselves. Default true. */
  readonly transform: boolean;
  /** Seed of the places, as PyTorch draws them. Default 777. */
  readonly seed: number;
  /** Coefficients of single modules. */
  readonly frequencyPattern: ModulePattern;
  /** Share all layers' coefficients out by the layers' sizes. Default false. */
  readonly proportional: boolean;
  /** Start at zero. `false`: N(0, 0.01²). Default true. */
  readonly initWeights: boolean;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'waveft_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    waveft: WaveftConfig;
  }
}

/**
 * The WaveFT method: `waveft({ frequencies: 2592 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const waveft = definePeftMethod({
  name: 'waveft',
  peftType: 'WAVEFT',
  peftCommonKeys: LAYERED_KEYS,
  formula: 'y = base(x) + s·IDWT₂(C)·x, C with n entries',
  paper: {
    title: 'Exploring Sparsity for Parameter Efficient Fine Tuning Using Wavelets',
    url: 'https://arxiv.org/abs/2505.12532',
  },
  ...optionTable<WaveftConfig>(
    'waveft',
    {
      frequencies: { default: 2592, is: 'positiveInteger', peft: 'n_frequency' },
      scaling: { default: 25, is: 'finite', peft: 'scaling' },
      wavelet: { default: 'db1', is: Object.keys(WAVELET_FILTERS), peft: 'wavelet_family' },
      transform: { default: true, is: 'boolean', peft: 'use_idwt' },
      seed: { default: 777, is: 'nonNegativeInteger', peft: 'random_loc_seed' },
      frequencyPattern: { default: {}, is: 'integersByModule', peft: 'n_frequency_pattern' },
      proportional: { default: false, is: 'boolean', peft: 'proportional_parameters' },
      initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
      bias: { default: 'none', is: ['none', 'all', 'waveft_only'], peft: 'bias' },
    },
    { fanInFanOut: true },
  ),
  defaultTargets: queryValueTargets,

  attach: {
    linear: (site, config, context) =>
      spectralLinear(
        site,
        {
          name: 'waveft_spectrum',
          count: countAt(site, config, context),
          seed: config.seed,
          scaling: config.scaling,
          start: config.initWeights ? zeros : normal(0.01),
          bias: config.bias,
          basisName: 'waveft_basis',
          basis: config.transform
            ? waveletBasis(site, WAVELET_FILTERS[config.wavelet]!)
            : { pairs: [{ left: equals('row'), right: equals('column') }] },
        },
        context,
      ),
  },
});

function countAt(
  site: LinearSite,
  { frequencies, frequencyPattern, proportional }: WaveftConfig,
  context: AttachContext,
): number {
  refuseUnmatchedPatterns('waveft', { frequencyPattern }, context);
  if (!proportional) return valueAt(site.path, frequencyPattern) ?? frequencies;
  const { sites } = context;
  const sizes = sites.map((each) =>
    each.kind === 'linear' ? each.inFeatures * each.outFeatures : 0,
  );
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const share = ((site.inFeatures * site.outFeatures) / total) * frequencies * sites.length;
  return Math.max(1, roundHalfToEven(share));
}

function roundHalfToEven(value: number): number {
  const below = Math.floor(value);
  if (value - below === 0.5) return below % 2 === 0 ? below : below + 1;
  return Math.round(value);
}

const equals =
  (axis: keyof Place) =>
  (index: number, place: Place): number =>
    Number(index === place[axis]);

function waveletBasis({ outFeatures, inFeatures }: LinearSite, low: readonly number[]): Basis {
  const high = low.map((_, t) => (t % 2 === 0 ? 1 : -1) * low[low.length - 1 - t]!);
  const [rows, columns] = [outFeatures, inFeatures].map((size) => axisOf(size, low.length)) as [
    Axis,
    Axis,
  ];
  /** The padded place, and in which half it lies along either axis. */
  const padded = ({ row, column }: Place) => {
    const [r, c] = [row + rows.before, column + columns.before];
    return { r, c, isLower: r >= rows.half, isRight: c >= columns.half };
  };
  /** What a coefficient of one half gives at an index of the result. */
  const at = (index: number, place: number, axis: Axis, filter: readonly number[]): number =>
    filter[index + axis.cut - 2 * (place % axis.half)] ?? 0;
  return {
    pairs: [
      {
        left(output, place) {
          const { r, isRight } = padded(place);
          return at(output, r, rows, isRight ? high : low);
        },
        right(input, place) {
          const { c, isLower } = padded(place);
          return at(input, c, columns, isLower ? high : low);
        },
      },
    ],
  };
}

interface Axis {
  /** Half of the padded size. */
  readonly half: number;
  /** Padding in front. */
  readonly before: number;
  /** What falls off in front of the result. */
  readonly cut: number;
}

function axisOf(size: number, length: number): Axis {
  const padded = size + length - 2 + ((size + length) % 2);
  const fallsOff = Math.floor((2 * length - 3) / 2);
  const made = padded - 2 + length - 2 * fallsOff; // of which the middle counts
  return {
    half: padded / 2,
    before: Math.floor((padded - size) / 2),
    cut: fallsOff + Math.floor((made - size) / 2),
  };
}
