/** Finds a loss by its name. */
import { didYouMean, PeftError, show } from '@peft/errors';

/** The loss itself, or that of the name. @throws PEFT_CONFIG_INVALID */
export function lossNamed<L extends { readonly name: string }>(
  owner: string,
  given: string | L,
  losses: readonly L[],
): L {
  if (typeof given !== 'string') return given;
  const found = losses.find(({ name }) => name === given);
  if (found) return found;
  const names = losses.map(({ name }) => name);
  throw new PeftError('PEFT_CONFIG_INVALID', `${owner}: there is no loss ${show(given)}.`, {
    hint: `${didYouMean(given, names)} Losses: ${names.join(', ')}.`.trim(),
  });
}
