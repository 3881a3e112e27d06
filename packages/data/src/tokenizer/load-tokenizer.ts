/** Reads the tokeniser files of a checkpoint folder. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PeftError } from '@peft/errors';
import { invalidTokenizer } from './component-error.js';
import { specialTokens, tokenizerFamily } from './special-tokens.js';
import { createTextTokenizer, type TextTokenizer } from './text-tokenizer.js';
import type { TokenizerConfigJson, TokenizerJson } from './tokenizer-json.js';

/** Lengths above this are the libraries' way of writing "no limit". */
const NO_LIMIT = 1e9;

/**
 * Loads the tokeniser of a checkpoint folder from `tokenizer.json`, with `tokenizer_config.json` beside it.
 *
 * @throws PEFT_TOKENIZER_MISSING if the folder has none of these files, PEFT_TOKENIZER_INVALID or PEFT_TOKENIZER_UNSUPPORTED for what they hold.
 */
export function loadTokenizer(folder: string): TextTokenizer {
  const config = (readJson(folder, 'tokenizer_config.json') ?? {}) as TokenizerConfigJson;
  const map = (readJson(folder, 'special_tokens_map.json') ?? {}) as Record<string, unknown>;
  const modelConfig = (readJson(folder, 'config.json') ?? {}) as { model_type?: string };
  const family = tokenizerFamily(config, modelConfig.model_type);
  const json = readJson(folder, 'tokenizer.json') as TokenizerJson | undefined;
  if (!json) {
    throw new PeftError('PEFT_TOKENIZER_MISSING', `data: ${folder} has no tokenizer.json.`, { hint: 'Copy the tokenizer files of the checkpoint into the folder.' });
  }
  if (typeof json !== 'object' || typeof json.model !== 'object' || json.model === null) throw invalidTokenizer(`tokenizer.json in ${folder} has no "model".`);
  const limit = config.model_max_length;
  return createTextTokenizer(json, specialTokens(config, map, family), typeof limit === 'number' && limit > 0 && limit < NO_LIMIT ? limit : Number.POSITIVE_INFINITY);
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
