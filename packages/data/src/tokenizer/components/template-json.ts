/** Writes `TemplateProcessing` entries from a short notation. */
import { invalidTokenizer } from './component-error.js';
import type { AddedTokenJson, ComponentJson } from '../tokenizer-json.js';

/**
 * Writes the `TemplateProcessing` entry of two templates.
 * @param single such as `[CLS] A [SEP]`: `A` is the text, everything else a special token.
 * @param pair such as `[CLS] A [SEP] B:1 [SEP]:1`; `:1` puts a part into segment 1.
 * @param tokens where the special tokens' ids are found.
 * @throws PEFT_TOKENIZER_INVALID for a token that is not among them.
 */
export function singleAndPair(
  single: string,
  pair: string,
  tokens: readonly AddedTokenJson[],
): ComponentJson {
  const special_tokens: Record<string, { id: string; ids: number[]; tokens: string[] }> = {};
  const parse = (notation: string) =>
    notation.split(' ').map((word) => {
      const [, name, segment] = /^(.*?)(?::(\d+))?$/.exec(word)!;
      const type_id = Number(segment ?? 0);
      if (name === 'A' || name === 'B') return { Sequence: { id: name, type_id } };
      const token = tokens.find(({ content }) => content === name);
      if (!token)
        throw invalidTokenizer(`the vocabulary has no special token ${JSON.stringify(name)}.`);
      special_tokens[token.content] = {
        id: token.content,
        ids: [token.id],
        tokens: [token.content],
      };
      return { SpecialToken: { id: token.content, type_id } };
    });
  return { type: 'TemplateProcessing', single: parse(single), pair: parse(pair), special_tokens };
}
