/** A base model with rows for tokens that its checkpoint has none for, and which of them train. */
import { withVocabularySize } from '@peft/core';
import type { TrainingData } from '@peft/trainer';
import type { BaseModel, EventBody } from './base-model.js';
import { padded } from './vocabulary.js';

/**
 * Ids of the rows that the checkpoint does not have, and of the tokens that were asked for, in
 * order.
 */
export function newRows({ tokenizer, vocabulary: { stored, size, added } }: BaseModel): number[] {
  const rows = new Set(added.map((token) => tokenizer.tokenToId(token)!));
  for (let id = stored; id < Math.min(size, tokenizer.vocabularySize); id += 1)
    if (tokenizer.idToToken(id) !== undefined) rows.add(id);
  return [...rows].sort((a, b) => a - b);
}

/**
 * The base with rows for all tokens of its tokenizer, where the given texts hold one that it has no
 * row for; and a warning that says so.
 */
export async function grownFor(
  base: BaseModel,
  texts: () => Promise<readonly TrainingData[]>,
  multipleOf: number | null,
  emit: (event: EventBody) => void,
): Promise<BaseModel> {
  const { tokenizer, vocabulary } = base;
  const isShort = vocabulary.size < tokenizer.vocabularySize;
  const grown =
    isShort && (await largestId(await texts())) >= vocabulary.size
      ? resized(base, padded(tokenizer.vocabularySize, multipleOf))
      : base;
  const { stored, size } = grown.vocabulary;
  if (size > stored)
    emit({
      type: 'run/warned',
      code: 'PEFT_VOCABULARY_GREW',
      message:
        `the vocabulary grew from ${stored} to ${size} rows, as the tokenizer has ` +
        `${tokenizer.vocabularySize} tokens: the new rows start at the mean of the others.`,
    });
  return grown;
}

async function largestId(tables: readonly TrainingData[]): Promise<number> {
  let most = -1;
  for (const { lengths, pack } of tables)
    for (let row = 0; row < lengths.length; row += 1) {
      const { inputIds, decoder } = await pack(Int32Array.of(row));
      for (const id of inputIds) most = Math.max(most, id);
      for (const id of decoder?.inputIds ?? []) most = Math.max(most, id);
    }
  return most;
}

const resized = (base: BaseModel, size: number): BaseModel => ({
  ...base,
  config: withVocabularySize(base.config, size),
  vocabulary: { ...base.vocabulary, size, ownSize: size },
});
