/** How many positions a graph can tell apart. */
import { isDecoder, type Model } from '@peft/core';
import type { RopeScaling } from '@peft/ops';

/** As far as tables of angles and slopes go; those of a decoder that names no bound, too. */
const MOST_POSITIONS = 131_072;

/** Tables of an encoder without a bound repeat their ends long before (T5). */
const UNBOUNDED_ENCODER = 1024;

export interface PositionLimit {
  readonly positions: number;
  /** What the user should know where the model goes further. */
  readonly warning: string | undefined;
}

/**
 * As many as the model. Angles that are others for longer texts (dynamic and longrope scaling) are
 * written for texts up to the original length.
 */
export function positionLimit({ config, description }: Model): PositionLimit {
  const { rope, maxPositions } = config as {
    readonly rope?: { readonly scaling?: RopeScaling };
    readonly maxPositions?: number;
  };
  const kind = rope?.scaling?.['rope_type'] ?? rope?.scaling?.['type'];
  const followsLength = kind === 'dynamic' || kind === 'longrope';
  const unbounded = isDecoder(description) ? MOST_POSITIONS : UNBOUNDED_ENCODER;
  const bound = description.maxPositions ?? unbounded;
  const positions = Math.min(
    followsLength
      ? Number(rope?.scaling?.['original_max_position_embeddings'] ?? maxPositions)
      : bound,
    MOST_POSITIONS,
  );
  const warning =
    positions < bound
      ? `the graph reads texts of up to ${positions} tokens, the model ones of ${bound}.`
      : undefined;
  return { positions, warning };
}
