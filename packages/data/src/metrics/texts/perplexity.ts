/** Perplexity: exp of the mean loss of a token, e^(Σ −ln p / n). */
import { PeftError } from '@peft/errors';

/** What a language model's loss sums to over some text. */
export interface TokenLoss {
  /** Σ −ln p */
  readonly loss: number;
  /** n */
  readonly tokens: number;
}

/**
 * Over all tokens, so that long texts count more. @throws PEFT_METRIC_UNDEFINED when there is none
 */
export function perplexity(texts: readonly TokenLoss[]): number {
  const total = texts.reduce(
    (sum, { loss, tokens }) => ({ loss: sum.loss + loss, tokens: sum.tokens + tokens }),
    { loss: 0, tokens: 0 },
  );
  if (total.tokens === 0)
    throw new PeftError(
      'PEFT_METRIC_UNDEFINED',
      'data: perplexity is not defined here: there is no labelled token.',
    );
  return Math.exp(total.loss / total.tokens);
}
