/** Single answers with labels as the data of a training run. */
import {
  eachRow,
  tokenData,
  type AnswerTokens,
  type TableWarning,
  type TokenBatch,
  type TokenData,
} from '@peft/data';
import { PeftError } from '@peft/errors';
import { answerEncoder, cutAnswer, type AnswerOptions, type CutAnswer } from './answer-encoder.js';
import { leftOutRows } from './left-out-rows.js';
import { isEmpty } from './preference-rows.js';
import type { UnpairedRow } from './unpaired-rows.js';

/** A batch of answers, one sequence each. */
export interface UnpairedBatch extends TokenBatch {
  /** 1 where the answer is desirable `[B]`. */
  readonly desirable: Uint8Array;
  /** Prompts and answers before they are cut `[B]`. */
  readonly answers: readonly AnswerTokens[];
  /** Cuts a prompt with another answer as the rows are cut. */
  readonly cut: (answer: AnswerTokens) => CutAnswer;
}

/** Answers with what became of the rows. */
export interface UnpairedData extends TokenData<UnpairedBatch> {
  /** Rows of the source, by row of the data. */
  readonly sources: Int32Array;
  /** 1 where the answer is desirable `[rows]`. */
  readonly desirable: Uint8Array;
  readonly warnings: readonly TableWarning[];
}

/**
 * Empty answers are left out and warned of, answers of which no token is left as `preferenceData`
 * does.
 * @throws PEFT_CONFIG_INVALID, PEFT_CHAT_TEMPLATE, PEFT_TOKENIZER_SPECIAL_MISSING;
 *   PEFT_DATA_INVALID when no row is left; PEFT_PREFERENCE_LABELS when all rows that are left have
 *   the same label
 */
export async function unpairedData(
  rows: readonly UnpairedRow[],
  options: AnswerOptions & { readonly nameOf?: (row: number) => string },
): Promise<UnpairedData> {
  const encode = answerEncoder(options);
  const leftOut = leftOutRows(options.nameOf);
  const cut = (answer: AnswerTokens): CutAnswer => cutAnswer(answer, options);
  const made = await eachRow(
    rows,
    ({ prompt, completion, tools }, row) => {
      if (isEmpty(completion)) {
        leftOut.add('empty', row);
        return undefined;
      }
      const answer = encode({ prompt, answer: completion, tools }, row);
      return { answer, sequence: cut(answer) };
    },
    options.signal,
  );
  const kept = [...made.keys()].filter((row) => made[row]?.sequence.isLearnt);
  requireBothLabels(
    kept.map((row) => rows[row]!.isDesirable),
    rows.length,
  );
  const data = tokenData(
    kept.map((row) => [made[row]!.sequence]),
    {
      skipped: [...made.keys()].filter((row) => !made[row]?.sequence.isLearnt),
      cut: [...made.keys()].filter((row) => made[row]?.sequence.isCut),
    },
  );
  const desirable = Uint8Array.from(kept, (row) => (rows[row]!.isDesirable ? 1 : 0));
  return {
    ...data,
    sources: Int32Array.from(kept),
    desirable,
    warnings: leftOut.warnings(rows.length),
    pack: (chosen) => ({
      ...data.pack(chosen),
      desirable: Uint8Array.from(chosen, (row) => desirable[row]!),
      answers: Array.from(chosen, (row) => made[kept[row]!]!.answer),
      cut,
    }),
  };
}

function requireBothLabels(labels: readonly boolean[], rows: number): void {
  if (labels.length === 0)
    throw new PeftError(
      'PEFT_DATA_INVALID',
      `preference: none of the ${rows} rows has an answer within the tokens that are kept.`,
      { hint: 'raise the longest length, or look whether the answers are in the right column' },
    );
  if (new Set(labels).size === 2) return;
  throw new PeftError(
    'PEFT_PREFERENCE_LABELS',
    `preference: all ${labels.length} answers are ${labels[0] ? 'desirable' : 'undesirable'}.`,
    { hint: 'the loss compares both kinds: give rows of the other label, too' },
  );
}
