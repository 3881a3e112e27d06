/** How many tokens a base model has rows for: in its checkpoint, and as it is opened. */
import {
  adapterVocabulary,
  describeModel,
  type Architecture,
  type ModelDescription,
} from '@peft/core';
import { hasTokenizer, loadTokenizer, type TextTokenizer } from '@peft/data';
import { PeftError } from '@peft/errors';
import type { JsonObject } from '@peft/hub';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';

export interface BaseVocabulary {
  /** Tokens that the checkpoint has rows for. */
  readonly stored: number;
  /** Tokens that the model is made with. */
  readonly size: number;
  /** Tokens of the model's own texts: fewer than `size` where further adapters brought theirs. */
  readonly ownSize: number;
  /** Tokens that were asked for: they train, new or not. */
  readonly added: readonly string[];
}

/** Where the files of an adapter lie, and those of its tokenizer where it has one. */
export interface AdapterFolders {
  readonly adapter: string;
  readonly tokenizer: string;
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
  /** Adapters that the model is to take later: folders of their files and of their tokenizers. */
  readonly alsoFor?: readonly AdapterFolders[];
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
  { added = [], multipleOf = null, size, adapter, alsoFor = [] }: VocabularyOptions,
): BaseVocabulary {
  const description = describeModel(architecture, architecture.parseConfig(config));
  const stored = description.vocabularySize;
  const known =
    size ?? (adapter === undefined ? undefined : adapterTokens(adapter, description, tokenizer));
  const isBeyond = added.some((token) => tokenizer.tokenToId(token)! >= (known ?? stored));
  const needed = Math.max(known ?? stored, isBeyond ? tokenizer.vocabularySize : 0);
  const ownSize = size ?? padded(needed, multipleOf);
  const others = alsoFor.map(
    (folders) =>
      adapterTokens(
        folders.adapter,
        description,
        hasTokenizer(folders.tokenizer)
          ? loadTokenizer(folders.tokenizer, { modelType: String(config['model_type']) })
          : tokenizer,
      ) ?? 0,
  );
  return { stored, ownSize, size: Math.max(ownSize, ...others), added };
}

/**
 * Tokens that an adapter in PEFT's layout is for; undefined where they are the base's.
 * @param description of the base as its checkpoint has it
 * @throws PEFT_ADAPTER_MISMATCH when the adapter has fewer rows than the tokenizer has tokens
 */
export function adapterTokens(
  folder: string,
  description: ModelDescription,
  tokenizer: TextTokenizer,
): number | undefined {
  const { vocabularySize: stored } = description;
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

/** The next multiple, where there is to be one. */
export const padded = (size: number, multiple: number | null): number =>
  multiple === null ? size : Math.ceil(size / multiple) * multiple;
