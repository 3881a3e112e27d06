/**
 * How byte-level BPE cuts a text into words, by the names that llama.cpp has for it
 * (`tokenizer.ggml.pre`), as tokenizer.json writes it.
 */
import type { JsonObject } from '../files/json-file.js';

/** A value of `tokenizer.ggml.pre`, and what it means. */
export interface GgufPreTokenizer {
  readonly name: string;
  /** `pre_tokenizer` of tokenizer.json. */
  readonly json: JsonObject;
  /** Words of the vocabulary are taken whole, whatever the merges make of them. */
  readonly ignoresMerges: boolean;
}

const byteLevel = (usesPattern: boolean): JsonObject => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: usesPattern,
});

/** Split by a pattern, then bytes. */
const splitBy = (pattern: string): JsonObject => ({
  type: 'Sequence',
  pretokenizers: [
    { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
    byteLevel(false),
  ],
});

/** The pattern of GPT-4 with runs of so many digits. */
const wordsWithDigits = (digits: string): string =>
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" +
  digits +
  '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** The first that fits is written. */
export const GGUF_PRE_TOKENIZERS: readonly GgufPreTokenizer[] = Object.freeze([
  { name: 'gpt-2', json: byteLevel(true), ignoresMerges: false },
  { name: 'llama-bpe', json: splitBy(wordsWithDigits('\\p{N}{1,3}')), ignoresMerges: true },
  { name: 'dbrx', json: splitBy(wordsWithDigits('\\p{N}{1,3}')), ignoresMerges: false },
  { name: 'qwen2', json: splitBy(wordsWithDigits('\\p{N}')), ignoresMerges: false },
  {
    name: 'smollm',
    json: {
      type: 'Sequence',
      pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel(true)],
    },
    ignoresMerges: false,
  },
]);

/** Further names that files have for the same. */
export const PRE_TOKENIZER_ALIASES: Readonly<Record<string, string>> = Object.freeze({
  default: 'gpt-2',
  llama3: 'llama-bpe',
  'llama-v3': 'llama-bpe',
  falcon3: 'llama-bpe',
  'smaug-bpe': 'dbrx',
  'deepseek-r1-qwen': 'qwen2',
  starcoder: 'smollm',
  refact: 'smollm',
  'command-r': 'smollm',
  'phi-2': 'gpt-2',
  mpt: 'gpt-2',
  olmo: 'gpt-2',
  jais: 'gpt-2',
});
