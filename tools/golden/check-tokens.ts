/** Token ids of a case's texts, alone, in pairs and cut, against the reference's. */
import { loadTokenizer } from '@peft/data';
import type { Comparison } from './comparison.js';

export interface TokenizerCases {
  readonly single: readonly { readonly text: string; readonly input_ids: readonly number[] }[];
  readonly pairs?: readonly {
    readonly text: string;
    readonly pair: string;
    readonly max_length: number | null;
    readonly input_ids: readonly number[];
    readonly token_type_ids?: readonly number[];
  }[];
  readonly truncated?: {
    readonly text: string;
    readonly max_length: number;
    readonly input_ids: readonly number[];
  };
}

export function checkTokens(
  comparison: Comparison,
  folder: string,
  { single, pairs = [], truncated }: TokenizerCases,
): void {
  const tokenizer = loadTokenizer(folder);
  for (const { text, input_ids } of single)
    comparison.equal(`ids of ${JSON.stringify(text)}`, [...tokenizer.encode(text).ids], input_ids);
  for (const { text, pair, max_length, input_ids } of pairs)
    comparison.equal(
      `ids of a pair, at most ${max_length ?? 'all'}`,
      [
        ...tokenizer.encode(text, { pair, ...(max_length !== null && { maxLength: max_length }) })
          .ids,
      ],
      input_ids,
    );
  if (truncated)
    comparison.equal(
      `ids of at most ${truncated.max_length}`,
      [...tokenizer.encode(truncated.text, { maxLength: truncated.max_length }).ids],
      truncated.input_ids,
    );
}
