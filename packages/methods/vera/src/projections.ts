/** What the methods with shared random projections have in common. */
import type { Site } from '@peft/core';

/** Inputs and outputs of the widest of the layers that a method takes. */
export const widestOf = (sites: readonly Site[]): readonly [inputs: number, outputs: number] =>
  sites.reduce<readonly [number, number]>(
    ([inputs, outputs], site) =>
      site.kind === 'linear'
        ? [Math.max(inputs, site.inFeatures), Math.max(outputs, site.outFeatures)]
        : [inputs, outputs],
    [0, 0],
  );
