/** What a head that transformers has no class for reads. */
import { isDecoder, type ModelDescription } from '@peft/core';

/** The tokens that one linear layer stands on; undefined for another head. */
export function pooledText(description: ModelDescription): string | undefined {
  const { head } = description;
  if (head.kind !== 'pooled-linear') return undefined;
  if (head.pooling === 'mean') return 'the mean over the tokens';
  return isDecoder(description) ? 'the last token' : 'the first token';
}
