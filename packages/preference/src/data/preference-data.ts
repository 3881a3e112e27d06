/** Pairs of answers as the data of a training run: each row is its chosen and its rejected sequence. */
import { eachRow, tokenData, type TableWarning, type TokenData } from '@peft/data';
import { PeftError } from '@peft/errors';
import { answerEncoder, cutAnswer, type AnswerOptions, type CutAnswer } from './answer-encoder.js';
import { sharedLength } from '../log-probabilities/shared-starts.js';
import { leftOutRows, type LeftOutReason } from './left-out-rows.js';
import { isEmpty, isEqual, type Content, type PreferenceRow } from './preference-rows.js';

/** Pairs with what became of the rows. */
export interface PreferenceData extends TokenData {
  /** Tokens of each pair; those that both answers begin with, and are computed once, count once. */
  readonly lengths: Int32Array;
  /** Rows of the source, by row of the data. */
  readonly sources: Int32Array;
  /** Of pairs that were left out, by reason. */
  readonly warnings: readonly TableWarning[];
}

/**
 * Both answers of a pair stand behind the prompt, cut one by one (`cutAnswer`). Pairs of equal
 * answers and those with an empty one are left out and warned of; so are pairs of which a cut
 * answer has no token left, which `skipped` names alone.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CHAT_TEMPLATE, PEFT_TOKENIZER_SPECIAL_MISSING; PEFT_DATA_INVALID
 *   when no pair is left
 */
export async function preferenceData(
  rows: readonly PreferenceRow[],
  options: AnswerOptions & { readonly nameOf?: (row: number) => string },
): Promise<PreferenceData> {
  const encode = answerEncoder(options);
  const leftOut = leftOutRows(options.nameOf);
  const pairs = await eachRow(
    rows,
    ({ prompt, chosen, rejected, tools }, row) => {
      const reason = reasonAgainst(chosen, rejected);
      if (reason) {
        leftOut.add(reason, row);
        return undefined;
      }
      return [chosen, rejected].map((answer) =>
        cutAnswer(encode({ prompt, answer, tools }, row), options),
      );
    },
    options.signal,
  );
  const isKept = (pair: readonly CutAnswer[] | undefined): pair is CutAnswer[] =>
    pair !== undefined && pair.every(({ isLearnt }) => isLearnt);
  const kept = [...pairs.keys()].filter((row) => isKept(pairs[row]));
  if (kept.length === 0)
    throw new PeftError(
      'PEFT_DATA_INVALID',
      `preference: nothing can be learnt from any of the ${rows.length} rows: ` +
        `${leftOut.rows.length} have equal or empty answers, of the others no answer is within ` +
        `the ${options.maxLength} tokens that are kept.`,
      { hint: 'raise the longest length, or look whether the answers are in the right columns' },
    );
  const data = tokenData(
    kept.map((row) => pairs[row] as CutAnswer[]),
    {
      skipped: [...pairs.keys()].filter((row) => !isKept(pairs[row])),
      cut: [...pairs.keys()].filter((row) => (pairs[row] ?? []).some(({ isCut }) => isCut)),
    },
  );
  return {
    ...data,
    lengths: data.lengths.map((length, i) => {
      const [chosen, rejected] = pairs[kept[i]!] as [CutAnswer, CutAnswer];
      return length - sharedLength(chosen.inputIds, rejected.inputIds);
    }),
    sources: Int32Array.from(kept),
    warnings: leftOut.warnings(rows.length),
  };
}

/** Why nothing can be learnt from a pair, if so. */
export function reasonAgainst(chosen: Content, rejected: Content): LeftOutReason | undefined {
  if (isEmpty(chosen) || isEmpty(rejected)) return 'empty';
  return isEqual(chosen, rejected) ? 'equal' : undefined;
}
