/** Rows of language models as the model reads them, with what of them is learnt. */
import { NO_LABEL, type TextTokenizer } from '@peft/data';
import type { TextPiece } from '../api-types.js';

/** A packed batch of labelled tokens, as language models train on. */
interface LabelledBatch {
  readonly inputIds: Int32Array;
  readonly offsets: Int32Array;
  readonly tokenLabels: Int32Array;
}

export const isLabelled = (batch: object): batch is LabelledBatch =>
  'inputIds' in batch && 'offsets' in batch && 'tokenLabels' in batch;

/** Tokens of one row at most. */
const SHOWN_TOKENS = 2000;

/** The sequences of a batch, each as pieces of text that are learnt or not. */
export function learntPieces(batch: LabelledBatch, tokenizer: TextTokenizer): TextPiece[][] {
  const { inputIds, offsets, tokenLabels } = batch;
  return Array.from({ length: offsets.length - 1 }, (_, row) => {
    const from = offsets[row]!;
    const to = Math.min(offsets[row + 1]!, from + SHOWN_TOKENS);
    const pieces: TextPiece[] = [];
    let before = '';
    let at = from;
    while (at < to) {
      const isLearnt = tokenLabels[at]! !== NO_LABEL;
      let end = at + 1;
      while (end < to && (tokenLabels[end]! !== NO_LABEL) === isLearnt) end += 1;
      // a token alone may be half a letter: texts are told apart by what they add
      const text = tokenizer.decode(inputIds.subarray(from, end), { skipSpecialTokens: false });
      pieces.push({ text: text.slice(before.length), isLearnt });
      before = text;
      at = end;
    }
    return pieces;
  });
}
