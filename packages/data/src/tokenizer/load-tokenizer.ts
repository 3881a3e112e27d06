/** Reads the tokeniser files of a checkpoint folder. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PeftError } from '@peft/errors';
import { invalidTokenizer } from './components/component-error.js';
import { convertSentencePiece } from './conversion/convert-sentencepiece.js';
import { convertByteLevel, convertVocabularyText } from './conversion/convert-vocabulary.js';
import { parseSentencePieceModel } from './conversion/sentencepiece-model.js';
import { specialTokens, tokenizerFamily, type SpecialTokens } from './special-tokens.js';
import { withAddedTokens } from './vocabulary-growth.js';
import { createTextTokenizer, type TextTokenizer } from './text-tokenizer.js';
import type { TokenizerConfigJson, TokenizerJson } from './tokenizer-json.js';

/** Lengths above this are the libraries' way of writing "no limit". */
const NO_LIMIT = 1e9;

/** SentencePiece models by the names that families give them. */
const SENTENCEPIECE_FILES = [
  'spm.model',
  'sentencepiece.bpe.model',
  'spiece.model',
  'tokenizer.model',
  'sentencepiece.model',
];

/** How a checkpoint's tokeniser is read. */
export interface LoadTokenizerOptions {
  /** Tokens to add to the vocabulary, behind all others; those that it has stay as they are. */
  readonly addedTokens?: readonly string[];
  /** `model_type` of a folder that has no `config.json`. */
  readonly modelType?: string;
}

/**
 * Loads the tokeniser of a checkpoint folder: from `tokenizer.json`, or where there is none from a
 * SentencePiece model, `vocab.txt`, or `vocab.json` with `merges.txt`. `tokenizer_config.json`,
 * `special_tokens_map.json`, `added_tokens.json` and `config.json` are read where they are.
 *
 * @throws PEFT_TOKENIZER_MISSING if the folder has none of these files, PEFT_TOKENIZER_INVALID or
 *   PEFT_TOKENIZER_UNSUPPORTED for what they hold.
 */
export function loadTokenizer(folder: string, options: LoadTokenizerOptions = {}): TextTokenizer {
  return withNamedFolder(folder, () => {
    const { json, special, maxLength } = readFiles(folder, options);
    return createTextTokenizer(json, special, maxLength);
  });
}

/**
 * The text of a `tokenizer.json` that holds the folder's tokeniser with added tokens.
 * @throws as {@link loadTokenizer}
 */
export const tokenizerWithTokens = (folder: string, options: LoadTokenizerOptions): string =>
  withNamedFolder(folder, () => `${JSON.stringify(readFiles(folder, options).json, null, 2)}\n`);

/** Whether a folder has files that {@link loadTokenizer} reads a tokeniser from. */
export const hasTokenizer = (folder: string): boolean =>
  ['tokenizer.json', 'vocab.txt', 'vocab.json', ...SENTENCEPIECE_FILES].some((name) =>
    existsSync(join(folder, name)),
  );

/** What a folder's files say about its tokeniser. */
export interface ReadTokenizer {
  /** `tokenizer.json`, or what it would be. */
  readonly json: TokenizerJson;
  readonly special: SpecialTokens;
  /** Longest input in tokens that the model was made for. */
  readonly maxLength: number;
}

/**
 * Reads what {@link loadTokenizer} builds its tokeniser from; older files become the
 * `tokenizer.json` that they stand for.
 * @throws as it does
 */
export const readTokenizer = (folder: string, options: LoadTokenizerOptions = {}): ReadTokenizer =>
  withNamedFolder(folder, () => readFiles(folder, options));

function readFiles(
  folder: string,
  { addedTokens = [], modelType }: LoadTokenizerOptions,
): ReadTokenizer {
  const config = (readJson(folder, 'tokenizer_config.json') ?? {}) as TokenizerConfigJson;
  const map = (readJson(folder, 'special_tokens_map.json') ?? {}) as Record<string, unknown>;
  const modelConfig = (readJson(folder, 'config.json') ?? {}) as { model_type?: string };
  const limit = config.model_max_length;
  const maxLength =
    typeof limit === 'number' && limit > 0 && limit < NO_LIMIT ? limit : Number.POSITIVE_INFINITY;
  const family = tokenizerFamily(config, modelConfig.model_type ?? modelType);
  const special = specialTokens(config, map, family);
  const json =
    (readJson(folder, 'tokenizer.json') as TokenizerJson | undefined) ??
    convertOldFiles(folder, family, config, special);
  return {
    json: addedTokens.length ? withAddedTokens(json, addedTokens) : json,
    special,
    maxLength,
  };
}

function withNamedFolder<T>(folder: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof PeftError) throw cause;
    // what no check names: the library's own words
    const [words] = (cause as Error).message.split('\n');
    throw invalidTokenizer(`the tokenizer in ${folder} cannot be built (${words}).`, cause);
  }
}

function convertOldFiles(
  folder: string,
  family: string,
  config: TokenizerConfigJson,
  special: SpecialTokens,
): TokenizerJson {
  const sentencePiece = SENTENCEPIECE_FILES.map((name) => join(folder, name)).find(existsSync);
  if (sentencePiece) {
    const added = (readJson(folder, 'added_tokens.json') ?? {}) as Record<string, number>;
    return convertSentencePiece(
      parseSentencePieceModel(readFileSync(sentencePiece), sentencePiece),
      family,
      config,
      special,
      added,
    );
  }
  const text = join(folder, 'vocab.txt');
  if (existsSync(text))
    return convertVocabularyText(readFileSync(text, 'utf8'), family, config, special);
  const merges = join(folder, 'merges.txt');
  const vocabulary = readJson(folder, 'vocab.json') as Record<string, number> | undefined;
  if (vocabulary && existsSync(merges))
    return convertByteLevel(vocabulary, readFileSync(merges, 'utf8'), family, config, special);
  throw new PeftError(
    'PEFT_TOKENIZER_MISSING',
    `data: ${folder} has no tokenizer: neither tokenizer.json nor ${SENTENCEPIECE_FILES.join(', ')},` +
      ' vocab.txt, or vocab.json with merges.txt.',
    {
      hint: 'Copy the tokenizer files of the checkpoint into the folder.',
    },
  );
}

function readJson(folder: string, name: string): unknown {
  const path = join(folder, name);
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, 'utf8').replace(/^\ufeff/, ''));
  } catch (cause) {
    throw invalidTokenizer(`${path} is not valid JSON (${(cause as Error).message}).`, cause);
  }
}
