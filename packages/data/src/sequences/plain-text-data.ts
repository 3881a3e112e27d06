/**
 * Plain texts for a causal language model, every token to be predicted from those before it in its
 * own text.
 */
import { check } from '@peft/errors';
import type { TextTokenizer } from '../tokenizer/text-tokenizer.js';
import { eachRow } from './each-row.js';
import { endTokenOf, markOnce, specialAround } from './special-around.js';
import { NO_LABEL, tokenData, type LabelledTokens, type TokenData } from './token-data.js';

/** How `plainTextData` cuts texts and fills rows. */
export interface PlainTextOptions {
  /** Tokens of a row at most, at least 2. */
  readonly maxLength: number;
  /**
   * Fill rows with as many whole texts as go in, which still see only themselves. False: a row per
   * text, or per piece of a long one. Default true.
   */
  readonly packing?: boolean;
  /** Closes each text. Default: the tokenizer's end token. */
  readonly endId?: number;
  /** The task of each text, for adapters that learn several. */
  readonly taskIds?: ArrayLike<number> | undefined;
  readonly signal?: AbortSignal;
}

/**
 * Each text begins with the tokens that the tokenizer puts there and ends with its end token; those
 * that a text has already, since a chat template rendered it, are not added again. A
 * longer one is cut into pieces; each begins with the last token of the one before, so that every
 * token but the first is predicted once.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_TOKENIZER_SPECIAL_MISSING
 */
export async function plainTextData(
  texts: readonly string[],
  tokenizer: TextTokenizer,
  { maxLength, packing = true, endId = endTokenOf(tokenizer), taskIds, signal }: PlainTextOptions,
): Promise<TokenData> {
  check.positiveInteger('data', 'maxLength - 1', maxLength - 1);
  const { before } = specialAround(tokenizer);
  const skipped: number[] = [];
  const marked: number[] = [];
  const pieces = (
    await eachRow(
      texts,
      (text, row) => {
        const own = tokenizer.ids(closedText(text, tokenizer.idToToken(endId)));
        if (own.length === 0) {
          skipped.push(row);
          return [];
        }
        const { ids, isMarked } = markOnce(own, { before, after: [endId] });
        if (isMarked) marked.push(row);
        return cut(ids, maxLength, taskIds?.[row]);
      },
      signal,
    )
  ).flat();
  const rows = packing ? fill(pieces, maxLength) : pieces.map((piece) => [piece]);
  return tokenData(rows, { skipped, marked });
}

/** Without the blanks behind an end token that the text has already. */
export function closedText(text: string, endToken: string | undefined): string {
  const trimmed = text.trimEnd();
  return endToken && trimmed.endsWith(endToken) ? trimmed : text;
}

function cut(
  ids: readonly number[],
  maxLength: number,
  taskId: number | undefined,
): LabelledTokens[] {
  const pieces: LabelledTokens[] = [];
  for (let start = 0; start + 1 < ids.length; start += maxLength - 1) {
    const piece = ids.slice(start, start + maxLength);
    pieces.push({ inputIds: piece, labels: [NO_LABEL, ...piece.slice(1)], taskId });
  }
  return pieces;
}

/**
 * Rows of at most `maxLength` tokens: each piece, the longest first, goes into the row that it
 * fills best.
 */
function fill(pieces: readonly LabelledTokens[], maxLength: number): LabelledTokens[][] {
  const rows: LabelledTokens[][] = [];
  /** Rows by the tokens that still fit. */
  const byRoom = Array.from({ length: maxLength + 1 }, (): LabelledTokens[][] => []);
  const order = [...pieces.keys()].sort(
    (a, b) => pieces[b]!.inputIds.length - pieces[a]!.inputIds.length || a - b,
  );
  for (const i of order) {
    const { length } = pieces[i]!.inputIds;
    let room = length;
    while (room < maxLength && byRoom[room]!.length === 0) room += 1;
    let row = byRoom[room]!.pop();
    if (!row) rows.push((row = []));
    row.push(pieces[i]!);
    byRoom[room - length]!.push(row);
  }
  return rows;
}
