/**
 * Whether a `tokenizer.json` has the types that its format asks for, before anything is made of it:
 * a file of strangers may hold objects where texts belong.
 */
import { show } from '@peft/errors';
import { invalidTokenizer } from './components/component-error.js';
import type { TokenizerJson } from './tokenizer-json.js';

/** No vocabulary comes near, added tokens included. */
const LARGEST_ID = 2 ** 27;
/** Components of components of components; the format's own files have two levels. */
const DEEPEST = 16;

/** Options of components that are texts or numbers where they are given at all. */
const TYPES: Readonly<Record<string, readonly string[]>> = Object.freeze({
  type: ['string'],
  content: ['string', 'object'], // of Replace a text, of a template an object
  prefix: ['string'],
  suffix: ['string'],
  cleanup: ['boolean'],
  replacement: ['string'],
  str_rep: ['string'],
  prepend: ['string'],
  delimiter: ['string'],
  unk_token: ['string'],
  unk_id: ['number'],
  continuing_subword_prefix: ['string'],
  end_of_word_suffix: ['string'],
  max_input_chars_per_word: ['number'],
  byte_fallback: ['boolean'],
  fuse_unk: ['boolean'],
  ignore_merges: ['boolean'],
  add_prefix_space: ['boolean'],
  use_regex: ['boolean'],
  individual_digits: ['boolean'],
  invert: ['boolean'],
  prepend_scheme: ['string'],
  precompiled_charsmap: ['string'],
  lowercase: ['boolean'],
  strip_accents: ['boolean'],
  clean_text: ['boolean'],
  handle_chinese_chars: ['boolean'],
  left: ['boolean'],
  right: ['boolean'],
});

/** Lists of components in a `Sequence`. */
const PARTS = ['normalizers', 'pretokenizers', 'processors', 'decoders'] as const;

/**
 * @param json what was parsed.
 * @throws PEFT_TOKENIZER_INVALID naming the place and what stands there.
 */
export function checkTokenizerJson(json: unknown): asserts json is TokenizerJson {
  const file = objectAt(json, 'the file');
  checkAddedTokens(file.added_tokens ?? []);
  for (const part of ['normalizer', 'pre_tokenizer', 'post_processor', 'decoder'])
    if (file[part] !== undefined && file[part] !== null) checkComponent(file[part], part, 0);
  if (file.model === undefined || file.model === null)
    throw invalidTokenizer('tokenizer.json has no "model".');
  const model = checkComponent(file.model, 'model', 0);
  if (model.vocab !== undefined) checkVocabulary(model.vocab);
  if (model.merges !== undefined) checkMerges(model.merges);
}

function checkAddedTokens(tokens: unknown): void {
  listAt(tokens, 'added_tokens').forEach((entry, i) => {
    const place = `added_tokens[${i}]`;
    const token = objectAt(entry, place);
    if (typeof token.content !== 'string') throw wrong(`${place}.content`, 'a text', token.content);
    checkId(token.id, `${place}.id`);
    for (const flag of ['single_word', 'lstrip', 'rstrip', 'normalized', 'special'])
      if (token[flag] !== undefined && typeof token[flag] !== 'boolean')
        throw wrong(`${place}.${flag}`, 'true or false', token[flag]);
  });
}

function checkComponent(value: unknown, place: string, depth: number): Record<string, unknown> {
  const component = objectAt(value, place);
  if (depth > DEEPEST) throw invalidTokenizer(`tokenizer.json nests its ${place} too deeply.`);
  for (const [option, types] of Object.entries(TYPES)) {
    const given = component[option];
    if (given !== undefined && given !== null && !types.includes(typeof given))
      throw wrong(`${place}.${option}`, `a ${types[0]}`, given);
  }
  for (const parts of PARTS) {
    if (component[parts] === undefined || component[parts] === null) continue;
    listAt(component[parts], `${place}.${parts}`).forEach((part, i) =>
      checkComponent(part, `${place}.${parts}[${i}]`, depth + 1),
    );
  }
  return component;
}

/** `{ token: id }`, or of Unigram `[[token, score], …]`. */
function checkVocabulary(vocabulary: unknown): void {
  if (!Array.isArray(vocabulary)) {
    for (const [token, id] of Object.entries(objectAt(vocabulary, 'model.vocab')))
      checkId(id, `model.vocab[${show(token)}]`);
    return;
  }
  vocabulary.forEach((entry: unknown, i) => {
    const [token, score] = Array.isArray(entry) ? (entry as unknown[]) : [];
    if (typeof token !== 'string' || typeof score !== 'number')
      throw wrong(`model.vocab[${i}]`, 'a text and a score', entry);
  });
}

/** `"a b"` or `["a", "b"]`. */
function checkMerges(merges: unknown): void {
  listAt(merges, 'model.merges').forEach((merge, i) => {
    const isPair =
      Array.isArray(merge) && merge.length === 2 && merge.every((half) => typeof half === 'string');
    if (typeof merge !== 'string' && !isPair) throw wrong(`model.merges[${i}]`, 'two texts', merge);
  });
}

function checkId(id: unknown, place: string): void {
  if (!Number.isSafeInteger(id) || (id as number) < 0 || (id as number) >= LARGEST_ID)
    throw wrong(place, `an id below ${LARGEST_ID}`, id);
}

function objectAt(value: unknown, place: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(place, 'an object', value);
  return value as Record<string, unknown>;
}

function listAt(value: unknown, place: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(place, 'a list', value);
  return value;
}

const wrong = (place: string, must: string, value: unknown) =>
  invalidTokenizer(`tokenizer.json: ${place} must be ${must}, got ${show(value)}.`);
