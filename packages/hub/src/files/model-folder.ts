/** The files of a model beside its weights: configuration and tokenizer. */
import { PeftError } from '@peft/errors';
import { readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type JsonObject, readJsonObject } from './json-file.js';

/**
 * What a folder says about its tokenizer. At least one of `tokenizerJson`, `sentencePiecePath` and
 * `vocabularyPath` is there.
 */
export interface TokenizerFiles {
  /** `tokenizer.json`, parsed: the whole tokenizer, as the `tokenizers` library runs it. */
  readonly tokenizerJson?: JsonObject;
  /** `tokenizer_config.json`, parsed; empty where there is none. */
  readonly tokenizerConfig: JsonObject;
  /** `special_tokens_map.json`, parsed. */
  readonly specialTokensMap?: JsonObject;
  /** `added_tokens.json`, parsed: token → id. */
  readonly addedTokens?: JsonObject;
  /**
   * A SentencePiece model: `spm.model`, `spiece.model`, `sentencepiece.bpe.model` or
   * `tokenizer.model`.
   */
  readonly sentencePiecePath?: string;
  /** `vocab.txt` (WordPiece) or `vocab.json` (BPE). */
  readonly vocabularyPath?: string;
  /** `merges.txt` (BPE). */
  readonly mergesPath?: string;
  /** `chat_template.jinja`. */
  readonly chatTemplatePath?: string;
}

/** A checkpoint's folder: its config, and where its tokeniser's files are. */
export interface ModelFolder {
  /** Absolute. */
  readonly folder: string;
  readonly config: JsonObject;
  /** `generation_config.json`, parsed. */
  readonly generationConfig?: JsonObject;
  readonly tokenizerFiles: TokenizerFiles;
}

/** Names of SentencePiece models, the family's own before the general one. */
export const SENTENCE_PIECE_FILES = Object.freeze([
  'spm.model',
  'spiece.model',
  'sentencepiece.bpe.model',
  'tokenizer.model',
] as const);

/**
 * Reads the configuration and the tokenizer files of a model folder; weights are opened by
 * `openCheckpoint`.
 *
 * @throws PEFT_MODEL_FOLDER the folder is missing.
 * @throws PEFT_CONFIG_MISSING, PEFT_TOKENIZER_MISSING a file is not there.
 * @throws PEFT_JSON_INVALID a file is no JSON object.
 */
export function readModelFolder(folder: string): ModelFolder {
  const config = readModelConfig(folder);
  const generationConfig = readJsonObject(join(folder, 'generation_config.json'));
  return {
    folder: resolve(folder),
    config,
    generationConfig,
    tokenizerFiles: readTokenizerFiles(folder),
  };
}

/**
 * Reads `config.json` of a folder, or the file itself where the path names one.
 *
 * @throws PEFT_MODEL_FOLDER, PEFT_CONFIG_MISSING, PEFT_JSON_INVALID
 */
export function readModelConfig(path: string): JsonObject {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isFile()) return readJsonObject(path)!;
  namesIn(path);
  const config = readJsonObject(join(path, 'config.json'));
  if (!config)
    throw new PeftError('PEFT_CONFIG_MISSING', `hub: ${resolve(path)} has no config.json.`, {
      hint: 'A model folder holds config.json beside its weights, as save_pretrained writes it.',
    });
  return config;
}

/**
 * Reads what a folder has of a tokenizer.
 *
 * @throws PEFT_TOKENIZER_MISSING no file says how text becomes tokens.
 * @throws PEFT_MODEL_FOLDER, PEFT_JSON_INVALID
 */
export function readTokenizerFiles(folder: string): TokenizerFiles {
  const names = namesIn(folder);
  const first = (...candidates: string[]) => candidates.find((name) => names.has(name));
  const path = (name: string | undefined) => (name === undefined ? undefined : join(folder, name));
  const files = {
    tokenizerJson: readJsonObject(join(folder, 'tokenizer.json')),
    tokenizerConfig: readJsonObject(join(folder, 'tokenizer_config.json')) ?? {},
    specialTokensMap: readJsonObject(join(folder, 'special_tokens_map.json')),
    addedTokens: readJsonObject(join(folder, 'added_tokens.json')),
    sentencePiecePath: path(first(...SENTENCE_PIECE_FILES)),
    vocabularyPath: path(first('vocab.txt', 'vocab.json')),
    mergesPath: path(first('merges.txt')),
    chatTemplatePath: path(first('chat_template.jinja')),
  };
  if (!files.tokenizerJson && !files.sentencePiecePath && !files.vocabularyPath) {
    throw new PeftError('PEFT_TOKENIZER_MISSING', `hub: ${resolve(folder)} has no tokenizer.`, {
      hint:
        `Expected tokenizer.json, or one of ${SENTENCE_PIECE_FILES.join(', ')}, vocab.txt, ` +
        'vocab.json. Copy it from the model that the checkpoint was trained from.',
    });
  }
  // keys of TokenizerFiles, all of them optional
  return Object.fromEntries(
    Object.entries(files).filter(([, value]) => value !== undefined),
  ) as unknown as TokenizerFiles;
}

function namesIn(folder: string): Set<string> {
  try {
    return new Set(readdirSync(folder));
  } catch (cause) {
    throw new PeftError(
      'PEFT_MODEL_FOLDER',
      `hub: there is no model folder at ${resolve(folder)}.`,
      { hint: 'Check the path, or give the name of a model on the hub.', cause },
    );
  }
}
