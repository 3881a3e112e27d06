/** The reward of the example: it checks an answer, and shows none. */

/** Letters of a text, as they stand in it. */
const lettersOf = (text: string): string[] => text.trim().split(/\s+/);

/**
 * 1 for the letters of the prompt in the order of the alphabet, and nothing else behind them. The form
 * alone earns nothing: the prompt's letters in another order get 0, as do other letters in order.
 * Also a file for `peft fit --reward`.
 */
export default function rightOrder({
  prompt,
  completion,
}: {
  readonly prompt: unknown;
  readonly completion: string;
}): number {
  const [, asked] = /^Sort((?: [a-z])+):$/.exec(String(prompt))!;
  return lettersOf(completion).join(' ') === lettersOf(asked!).sort().join(' ') ? 1 : 0;
}
