import { stackSites, type ModelDescription } from '@peft/core';

/** Targets of what runs beside the blocks that the head reads: the decoder's, where there are two stacks. */
export const lastStack = (
  description: ModelDescription,
): { readonly targets: readonly string[] } => ({
  targets: stackSites(description)
    .slice(-1)
    .map(({ path }) => path),
});
