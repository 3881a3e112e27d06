/**
 * Texts that belong together (a question and its answer, a text and its translation), for
 * embeddings.
 */
import { PeftError } from '@peft/errors';
import type { TextTokenizer } from '../tokenizer/text-tokenizer.js';
import { eachRow } from './each-row.js';
import { encodeOnce, specialAround } from './special-around.js';
import { NO_LABEL, tokenData, type TokenData } from './token-data.js';

/** How `textGroupData` cuts its texts. */
export interface TextGroupOptions {
  readonly maxLength: number;
  readonly signal?: AbortSignal;
}

/**
 * A row per group: an anchor, a text like it, and any number of texts that are not like it, the
 * same number in each row; for predictions also single texts.
 * @throws PEFT_DATA_INVALID for groups of unequal sizes or a text without tokens
 */
export async function textGroupData(
  groups: readonly (readonly string[])[],
  tokenizer: TextTokenizer,
  { maxLength, signal }: TextGroupOptions,
): Promise<TokenData> {
  const size = groups[0]?.length ?? 0;
  const around = specialAround(tokenizer);
  const cut = new Set<number>();
  const marked = new Set<number>();
  const rows = await eachRow(
    groups,
    (group, row) => {
      if (group.length !== size || size === 0)
        throw new PeftError(
          'PEFT_DATA_INVALID',
          `data: group ${row} has ${group.length} texts, the first has ${size}.`,
          { hint: 'give each row the same number of texts' },
        );
      return group.map((text, i) => {
        const { ids, isCut, isMarked } = encodeOnce(tokenizer, text, around, maxLength);
        if (isCut) cut.add(row);
        if (isMarked) marked.add(row);
        if (ids.length === 0)
          throw new PeftError(
            'PEFT_DATA_INVALID',
            `data: text ${i} of group ${row} has no tokens.`,
          );
        return { inputIds: ids, labels: ids.map(() => NO_LABEL) };
      });
    },
    signal,
  );
  return tokenData(rows, { cut: [...cut], marked: [...marked] });
}
