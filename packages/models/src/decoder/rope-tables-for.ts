/** The rotary tables that a batch needs, kept by the model. */
import type { Tensor2D } from '@tensorflow/tfjs';
import { longestSequence, ropeTables, type RopeTables } from '@peft/ops';
import type { ModelRun } from '@peft/core';
import type { RopeConfig } from './rope-config.js';

/** Rotary tables for a batch, kept by the model for the next one. */
export function ropeTablesFor(
  run: ModelRun,
  config: { readonly headSize: number; readonly maxPositions: number },
  { theta, scaling, partial }: RopeConfig,
  positions: Int32Array,
  offsets: Int32Array,
): RopeTables {
  const length = tableLength(
    positions.reduce((most, position) => Math.max(most, position + 1), longestSequence(offsets)),
    scaling,
    config.maxPositions,
  );
  if (followsLength(scaling))
    run.past
      .cacheOf('decoder')
      ?.pin(
        `rotary angles ${theta} ${partial}, for a length of`,
        anglesOf(length, scaling, config.maxPositions),
      );
  const [cos, sin] = run.constants(
    `rope ${theta} ${partial} ${length} ${JSON.stringify(scaling ?? null)}`,
    () => {
      const tables = ropeTables({
        headSize: config.headSize,
        length,
        theta,
        partialRotaryFactor: partial,
        scaling,
        maxPositions: config.maxPositions,
      });
      return [tables.cos, tables.sin];
    },
  );
  return { cos: cos as Tensor2D, sin: sin as Tensor2D };
}

/**
 * A power of two of positions. Where the scaling asks whether the batch is longer than the original
 * length, the table stays on the batch's side of it; beyond, dynamic scaling depends on the very
 * length.
 */
function tableLength(needed: number, scaling: RopeConfig['scaling'], maxPositions: number): number {
  const rounded = 2 ** Math.ceil(Math.log2(Math.max(needed, 64)));
  if (!followsLength(scaling)) return rounded;
  const original = originalLength(scaling, maxPositions);
  if (needed <= original) return Math.min(rounded, original);
  return kindOf(scaling) === 'dynamic' ? needed : rounded;
}

const kindOf = (scaling: RopeConfig['scaling']): unknown =>
  scaling?.['rope_type'] ?? scaling?.['type'];
/** Whether the angle of a position depends on how long the batch is. */
const followsLength = (scaling: RopeConfig['scaling']): boolean =>
  kindOf(scaling) === 'dynamic' || kindOf(scaling) === 'longrope';
const originalLength = (scaling: RopeConfig['scaling'], maxPositions: number): number =>
  Number(scaling?.['original_max_position_embeddings'] ?? maxPositions);

/** Lengths with the same angles. */
function anglesOf(length: number, scaling: RopeConfig['scaling'], maxPositions: number): string {
  const original = originalLength(scaling, maxPositions);
  if (length <= original) return `up to ${original}`;
  return kindOf(scaling) === 'dynamic' ? String(length) : `over ${original}`;
}
