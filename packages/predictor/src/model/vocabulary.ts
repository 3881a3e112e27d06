/**
 * The tokens of a base model that its checkpoint has no rows for: how many rows it gets, and which
 * of them train.
 */
import {
  adapterVocabulary,
  describeModel,
  withVocabularySize,
  type Architecture,
} from '@peft/core';
import type { TextTokenizer } from '@peft/data';
import { PeftError } from '@peft/errors';
import type { JsonObject } from '@peft/hub';
import type { TrainingData } from '@peft/trainer';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import type { BaseModel, EventBody } from './base-model.js';

export interface BaseVocabulary {
  /** Tokens that the checkpoint has rows for. */
  readonly stored: number;
  /** Tokens that the model is made with. */
  readonly size: number;
  /** Tokens that were asked for: they train, new or not. */
  readonly added: readonly string[];
}

/** What decides the number of tokens, beside the checkpoint. */
export interface VocabularyOptions {
  /** Tokens that the tokenizer gets. */
  readonly added?: readonly string[];
  /** The number of tokens is a multiple of it. */
  readonly multipleOf?: number | null;
  /** Where it is known, of a saved model. */
  readonly size?: number | undefined;
  /** Folder of the adapter that the model is for. */
  readonly adapter?: string | undefined;
  /** Folder whose tokenizer counts, where it has one. Default: the adapter's. */
  readonly tokenizer?: string | undefined;
}

export const vocabularyOptions = (settings: Hyperparameters): VocabularyOptions => ({
  added: settings['data.added_tokens'],
  multipleOf: settings['model.hf_text.pad_vocabulary_to_multiple_of'],
});

/**
 * The vocabulary that a model is opened with. Tokens beyond the table that nobody asked for get no
 * rows yet: many tokenizers have some that no text holds.
 * @throws PEFT_ADAPTER_MISMATCH when the adapter has fewer rows than the tokenizer has tokens
 */
export function openVocabulary(
  architecture: Architecture<unknown>,
  config: JsonObject,
  tokenizer: TextTokenizer,
  { added = [], multipleOf = null, size, adapter }: VocabularyOptions,
): BaseVocabulary {
  const description = describeModel(architecture, architecture.parseConfig(config));
  const stored = description.vocabularySize;
  const known = size ?? (adapter === undefined ? undefined : sizeFor(adapter));
  const isBeyond = added.some((token) => tokenizer.tokenToId(token)! >= (known ?? stored));
  const needed = Math.max(known ?? stored, isBeyond ? tokenizer.vocabularySize : 0);
  return { stored, size: size ?? padded(needed, multipleOf), added };

  function sizeFor(folder: string): number | undefined {
    const held = adapterVocabulary(folder, description);
    if (held.size !== undefined && held.size < Math.min(stored, tokenizer.vocabularySize))
      throw new PeftError(
        'PEFT_ADAPTER_MISMATCH',
        `predictor: the adapter in ${folder} is for ${held.size} tokens, and the tokenizer has ` +
          `${tokenizer.vocabularySize}.`,
        { hint: "put the files of the adapter's own tokenizer into its folder" },
      );
    if (held.size !== undefined) return held.size;
    return held.largestRow === undefined || held.largestRow < stored
      ? undefined
      : Math.max(held.largestRow + 1, tokenizer.vocabularySize);
  }
}

const padded = (size: number, multiple: number | null): number =>
  multiple === null ? size : Math.ceil(size / multiple) * multiple;

/** The base with as many tokens as its vocabulary says. */
export const resized = (base: BaseModel, size: number): BaseModel =>
  size === base.vocabulary.size && size === base.vocabulary.stored
    ? base
    : {
        ...base,
        config: withVocabularySize(base.config, size),
        vocabulary: { ...base.vocabulary, size },
      };

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
