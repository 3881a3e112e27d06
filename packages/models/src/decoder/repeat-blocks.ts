/** A decoder of the same blocks in another order, some of them more than once. */
import type { DecoderConfig } from './decoder-config.js';

/**
 * Undefined where a block's forward pass reads parameters by their own names (sinks, corrections of
 * routers), which are those of its number.
 */
export function repeatDecoderBlocks(
  config: DecoderConfig,
  order: readonly number[],
): DecoderConfig | undefined {
  const { experts, turns, windows } = config;
  if (config.hasSinks || experts?.router.kind === 'sigmoid') return undefined;
  const of = <T>(each: readonly T[]): readonly T[] => order.map((block) => each[block]!);
  return {
    ...config,
    layers: order.length,
    turns: of(turns),
    windows: of(windows),
    experts: experts && { ...experts, isSparse: of(experts.isSparse) },
  };
}
