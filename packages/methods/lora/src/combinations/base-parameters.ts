/** The base's parameters that one adapter takes over from others. */
import type { AttachOptions, OwnedParameter } from '@peft/core';

/** They train there if they do where they come from. */
export function takenOver(
  parameters: readonly OwnedParameter[],
): Pick<AttachOptions, 'alsoUnfreeze' | 'alsoReplace'> {
  const names = (isTrainable: boolean): string[] =>
    parameters.filter(({ trainable }) => trainable === isTrainable).map(({ name }) => name);
  return { alsoUnfreeze: names(true), alsoReplace: names(false) };
}
