/**
 * Frequencies of rotary positions: f_i = θ^(−2i/R) for i < R/2, in float32 as Hugging Face computes
 * them, and what `rope_scaling` does to them.
 *
 *   linear   f/factor (Chen et al. 2023)
 *   dynamic  θ·(factor·T/L − (factor − 1))^(R/(R − 2)) in place of θ where the length T exceeds L
 *            (NTK by parts of the batch's length)
 *   llama3   f where the wavelength 2π/f is below L/high, f/factor above L/low, between them a
 *            blend (Llama 3.1)
 *   yarn     a blend of f and f/factor by the number of turns within L, with attention factor
 *            0.1·ln(factor) + 1 (Peng et al. 2023)
 *   longrope f_i/short_i, where T exceeds L f_i/long_i, with attention factor
 *            √(1 + ln(factor)/ln(L)) (Ding et al. 2024; Phi-3)
 *
 * L is `original_max_position_embeddings`, or the model's `max_position_embeddings`.
 */
import { check, PeftError, show } from '@peft/errors';

/**
 * As in a config's `rope_scaling` or `rope_parameters`: other keys (`rope_theta` …) are ignored
 * here.
 */
export type RopeScaling = Readonly<Record<string, unknown>>;

/** What the angles of rotary positions depend on. */
export interface RopeFrequencyOptions {
  /** R: columns of a head that turn; even. */
  readonly rotarySize: number;
  /** `rope_theta` */
  readonly theta: number;
  readonly scaling?: RopeScaling | null;
  /**
   * `max_position_embeddings`; needed by dynamic, by yarn and llama3 without an original length, by
   * longrope without a factor.
   */
  readonly maxPositions?: number;
  /** T, for dynamic and longrope. */
  readonly length?: number;
}

/** f `[R/2]`, and what cos and sin are multiplied by. */
export interface RopeFrequencies {
  readonly frequencies: Float32Array;
  readonly attentionFactor: number;
}

const TYPES = ['default', 'linear', 'dynamic', 'llama3', 'yarn', 'longrope'] as const;

/**
 * @throws PEFT_CONFIG_INVALID for a scaling type that is not known, or a number that is missing.
 */
export function ropeFrequencies({
  rotarySize,
  theta,
  scaling,
  maxPositions,
  length = 0,
}: RopeFrequencyOptions): RopeFrequencies {
  check.positiveInteger('rope', 'rotarySize', rotarySize);
  check.positive('rope', 'theta', theta);
  if (rotarySize % 2 !== 0)
    throw new PeftError('PEFT_CONFIG_INVALID', `rope: rotarySize must be even, got ${rotarySize}.`);
  const type = scaling?.['rope_type'] ?? scaling?.['type'] ?? 'default';
  check.oneOf('rope', 'rope_type', type, TYPES);
  const number = (key: string, fallback?: number): number => {
    const value = scaling?.[key] ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value))
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `rope: ${key} of ${type} scaling must be a number, got ${show(value)}.`,
      );
    return value;
  };
  const plain = powers(theta, rotarySize);
  const unscaled = { frequencies: plain, attentionFactor: 1 };
  switch (type) {
    case 'default':
      return unscaled;
    case 'linear':
      return { frequencies: plain.map((f) => f / number('factor')), attentionFactor: 1 };
    case 'dynamic': {
      const factor = number('factor');
      const limit = number('original_max_position_embeddings', maxPositions);
      if (length <= limit) return unscaled;
      return {
        frequencies: powers(
          theta * ((factor * length) / limit - (factor - 1)) ** (rotarySize / (rotarySize - 2)),
          rotarySize,
        ),
        attentionFactor: 1,
      };
    }
    case 'llama3': {
      const original = number('original_max_position_embeddings', maxPositions);
      return {
        frequencies: plain.map(
          llama3(number('factor'), number('low_freq_factor'), number('high_freq_factor'), original),
        ),
        attentionFactor: 1,
      };
    }
    case 'yarn':
      return yarn(plain, theta, rotarySize, number, maxPositions, scaling!);
    case 'longrope':
      return longrope(theta, rotarySize, number, maxPositions, scaling!, length);
  }
}

/** θ^(−2i/R) */
const powers = (theta: number, size: number): Float32Array =>
  Float32Array.from(
    { length: size / 2 },
    (_, i) => 1 / Math.fround(theta ** Math.fround((2 * i) / size)),
  );

function llama3(
  factor: number,
  low: number,
  high: number,
  original: number,
): (f: number) => number {
  return (f) => {
    const wavelength = (2 * Math.PI) / f;
    if (wavelength < original / high) return f;
    if (wavelength > original / low) return f / factor;
    const blend = (original / wavelength - low) / (high - low);
    return ((1 - blend) * f) / factor + blend * f;
  };
}

function longrope(
  theta: number,
  size: number,
  number: (key: string, fallback?: number) => number,
  maxPositions: number | undefined,
  scaling: RopeScaling,
  length: number,
): RopeFrequencies {
  const original = number('original_max_position_embeddings');
  const factor = number('factor', maxPositions === undefined ? undefined : maxPositions / original);
  const key = length > original ? 'long_factor' : 'short_factor';
  const stretch = scaling[key];
  if (
    !Array.isArray(stretch) ||
    stretch.length !== size / 2 ||
    !stretch.every((each) => typeof each === 'number' && each > 0)
  )
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `rope: ${key} of longrope scaling must be a list of ${size / 2} numbers > 0, got ${show(stretch)}.`,
    );
  const f = Math.fround;
  const frequencies = Float32Array.from(
    { length: size / 2 },
    (_, i) => 1 / f(f(stretch[i] as number) * f(theta ** f((2 * i) / size))),
  );
  const attentionFactor = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  return { frequencies, attentionFactor: number('attention_factor', attentionFactor) };
}

function yarn(
  plain: Float32Array,
  theta: number,
  size: number,
  number: (key: string, fallback?: number) => number,
  maxPositions: number | undefined,
  scaling: RopeScaling,
): RopeFrequencies {
  const original = number('original_max_position_embeddings', maxPositions);
  const factor = number('factor', maxPositions === undefined ? undefined : maxPositions / original);
  // Column whose angle makes `turns` turns within the original length.
  const columnOf = (turns: number) =>
    (size * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const whole = scaling['truncate'] !== false;
  const first = columnOf(number('beta_fast', 32));
  const last = columnOf(number('beta_slow', 1));
  const low = Math.max(whole ? Math.floor(first) : first, 0);
  const high = Math.min(whole ? Math.ceil(last) : last, size - 1);
  const frequencies = plain.map((f, i) => {
    const stretched = Math.min(Math.max((i - low) / (high === low ? 0.001 : high - low), 0), 1);
    return (f / factor) * stretched + f * (1 - stretched);
  });
  return { frequencies, attentionFactor: yarnAttention(factor, number, scaling) };
}

function yarnAttention(
  factor: number,
  number: (key: string) => number,
  scaling: RopeScaling,
): number {
  if (scaling['attention_factor'] !== undefined && scaling['attention_factor'] !== null)
    return number('attention_factor');
  const magnitude = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  return scaling['mscale'] && scaling['mscale_all_dim']
    ? magnitude(number('mscale')) / magnitude(number('mscale_all_dim'))
    : magnitude(1);
}
