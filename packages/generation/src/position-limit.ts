/** How many tokens a model has positions for, and how long a text may become. */
import type { Model } from '@peft/core';
import { PeftError } from '@peft/errors';

/** Tokens that may be made after each prompt, and whether the model's positions set that bound. */
export interface LengthLimit {
  readonly tokens: number;
  readonly isByPositions: boolean;
}

export const limitReason = ({ isByPositions }: LengthLimit): 'position-limit' | 'length' =>
  isByPositions ? 'position-limit' : 'length';

/**
 * The last token of a text is made and not read: a text may have one token more than the model has
 * positions. Virtual tokens of adapters count.
 *
 * @param starts what a decoder reads first
 * @param adapters by prompt; default the active ones
 * @throws PEFT_GENERATION_PROMPT when a prompt alone has more tokens than there are positions
 */
export function lengthLimits(
  model: Model,
  starts: readonly (readonly number[])[],
  maxNewTokens: number,
  adapters: readonly string[] | undefined,
): LengthLimit[] {
  const { maxPositions = Infinity, modelType } = model.description;
  const known = new Set(model.adapterNames);
  const virtualOf = (names: readonly string[]): number =>
    names
      .filter((name) => known.has(name))
      .reduce((sum, name) => sum + model.adapter(name).virtualTokens, 0);
  return starts.map(({ length }, prompt) => {
    const virtual = virtualOf(adapters ? [adapters[prompt]!] : model.activeAdapters);
    const room = maxPositions - virtual - length + 1;
    if (room < 1)
      throw new PeftError(
        'PEFT_GENERATION_PROMPT',
        `generation: prompt ${prompt} has ${length} tokens${virtual > 0 ? ` and ${virtual} virtual ones` : ''}, ` +
          `and this ${modelType} has ${maxPositions} positions.`,
        { hint: 'shorten the prompt' },
      );
    return { tokens: Math.min(maxNewTokens, room), isByPositions: room < maxNewTokens };
  });
}
