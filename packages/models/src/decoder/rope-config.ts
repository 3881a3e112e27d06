/** The rotary positions that a config asks for. */
import { PeftError } from '@peft/errors';
import { ropeFrequencies, type RopeScaling } from '@peft/ops';
import type { ConfigReader } from '../description/config-reader.js';

/** How a decoder turns queries and keys by their positions. */
export interface RopeConfig {
  readonly theta: number;
  /** `rope_scaling` of the config. */
  readonly scaling: RopeScaling | undefined;
  /** Share of a head's columns that turn. */
  readonly partial: number;
  /** Neighbours turn together (GLM, Cohere), not columns half a head apart. Default false. */
  readonly interleaved?: boolean;
}

/**
 * Both spellings: `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`.
 * @param own a second set of them (Gemma 3's local positions).
 */
export function parseRope(
  config: ConfigReader,
  {
    headSize,
    maxPositions,
    theta,
    partial = 1,
  }: {
    readonly headSize: number;
    readonly maxPositions: number;
    readonly theta: number;
    readonly partial?: number;
  },
  own?: unknown,
): RopeConfig {
  const { json } = config;
  const field = own !== undefined || json['rope_parameters'] ? 'rope_parameters' : 'rope_scaling';
  const given = own ?? json['rope_parameters'] ?? json['rope_scaling'] ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) config.refuse(field, given, 'an object');
  const values = given as Readonly<Record<string, unknown>>;
  const number = (key: string, fallback: number): number => {
    const value = values[key] ?? json[key] ?? fallback;
    return typeof value === 'number' && value > 0
      ? value
      : config.refuse(key, value, 'a number > 0');
  };
  const share = number('partial_rotary_factor', partial);
  if (share > 1) config.refuse('partial_rotary_factor', share, 'a share of at most 1');
  const rope: RopeConfig = {
    theta: number('rope_theta', theta),
    scaling: Object.keys(values).length ? scalingOf(json, values) : undefined,
    partial: share,
  };
  try {
    ropeFrequencies({
      rotarySize: Math.floor(headSize * rope.partial),
      theta: rope.theta,
      scaling: rope.scaling,
      maxPositions,
    });
  } catch (error) {
    if (error instanceof PeftError)
      config.refuse(field, given, 'a supported kind of rotary positions', error.message);
    throw error;
  }
  return rope;
}

/** Old files keep the original length at the top. */
function scalingOf(
  json: Readonly<Record<string, unknown>>,
  values: Readonly<Record<string, unknown>>,
): RopeScaling {
  const original = json['original_max_position_embeddings'];
  return original !== undefined && values['original_max_position_embeddings'] === undefined
    ? { ...values, original_max_position_embeddings: original }
    : values;
}
