/** The tokeniser in a GGUF file's metadata as the files that Hugging Face has for it. */
import { PeftError, show } from '@peft/errors';
import type { JsonObject } from '../files/json-file.js';
import { GgufFields } from './gguf-fields.js';
import type { GgufFile } from './open-gguf.js';
import { GGUF_PRE_TOKENIZERS, PRE_TOKENIZER_ALIASES } from './pre-tokenizers.js';

/** A tokeniser rebuilt from GGUF's metadata. */
export interface GgufTokenizer {
  /** `tokenizer.json`. */
  readonly json: JsonObject;
  /** `tokenizer_config.json`, with the chat template. */
  readonly config: JsonObject;
}

/** `tokenizer.ggml.token_type`. */
const CONTROL = 3;
const USER_DEFINED = 4;
const UNKNOWN = 2;

/** @throws PEFT_GGUF_METADATA, PEFT_GGUF_TOKENIZER for one that is not read here */
export function ggufTokenizer(file: GgufFile): GgufTokenizer {
  const fields = new GgufFields(file);
  const tokens = fields.list('tokenizer.ggml.tokens', 'string');
  const types =
    fields.get('tokenizer.ggml.token_type') === undefined
      ? tokens.map(() => 1)
      : fields.list('tokenizer.ggml.token_type', 'number');
  if (types.length !== tokens.length)
    throw refused(file, `has ${tokens.length} tokens and ${types.length} types of tokens`);
  const model = fields.text('tokenizer.ggml.model');
  const special = specialTokens(fields, tokens, file);
  const parts = partsOf(model, file, fields, tokens);
  const json = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: tokens.flatMap((content, id) =>
      [CONTROL, USER_DEFINED, UNKNOWN].includes(types[id]!)
        ? [
            {
              id,
              content,
              single_word: false,
              lstrip: false,
              rstrip: false,
              normalized: false,
              special: types[id] !== USER_DEFINED,
            },
          ]
        : [],
    ),
    ...parts,
    post_processor: around(fields, tokens, model),
  };
  return {
    json,
    config: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      ...special,
      chat_template: fields.optionalText('tokenizer.chat_template'),
    },
  };
}

const refused = (file: GgufFile, what: string): PeftError =>
  new PeftError('PEFT_GGUF_TOKENIZER', `gguf: ${file.path}: its tokenizer ${what}.`, {
    hint: 'take the checkpoint with its tokenizer.json',
  });

function partsOf(
  model: string,
  file: GgufFile,
  fields: GgufFields,
  tokens: readonly string[],
): JsonObject {
  if (model === 'gpt2') return bytesParts(file, fields, tokens);
  if (model === 'llama') return piecesParts(file, fields, tokens);
  throw refused(file, `is of the kind ${show(model)}, read are gpt2 and llama`);
}

/** The first id of each token. */
function vocabularyOf(tokens: readonly string[]): Record<string, number> {
  const vocabulary = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (!vocabulary.has(token)) vocabulary.set(token, id);
  });
  return Object.fromEntries(vocabulary);
}

function bytesParts(file: GgufFile, fields: GgufFields, tokens: readonly string[]): JsonObject {
  const given = fields.optionalText('tokenizer.ggml.pre') ?? 'default';
  const name = Object.hasOwn(PRE_TOKENIZER_ALIASES, given) ? PRE_TOKENIZER_ALIASES[given] : given;
  const found = GGUF_PRE_TOKENIZERS.find((each) => each.name === name);
  if (!found)
    throw refused(
      file,
      `cuts words as ${show(given)}, known are ${GGUF_PRE_TOKENIZERS.map((each) => each.name).join(', ')}`,
    );
  return {
    normalizer: name === 'qwen2' ? { type: 'NFC' } : null,
    pre_tokenizer: found.json,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: found.ignoresMerges,
      vocab: vocabularyOf(tokens),
      merges: fields.list('tokenizer.ggml.merges', 'string').map((merge) => {
        // a merge of a space itself would have two
        const at = merge.indexOf(' ', 1);
        return [merge.slice(0, at), merge.slice(at + 1)];
      }),
    },
  };
}

const SPACE = '▁';
/** Each place of a token is tried as the seam of a merge. */
const LONGEST_TOKEN = 256;

/** SentencePiece's BPE: every pair of tokens that makes a token merges, the best score first. */
function piecesParts(file: GgufFile, fields: GgufFields, tokens: readonly string[]): JsonObject {
  const scores = fields.list('tokenizer.ggml.scores', 'number');
  if (scores.length !== tokens.length)
    throw refused(file, `has ${tokens.length} tokens and ${scores.length} scores`);
  const long = tokens.find((token) => token.length > LONGEST_TOKEN);
  if (long !== undefined) throw refused(file, `has a token of ${long.length} characters`);
  const vocabulary = vocabularyOf(tokens);
  const addsSpace = fields.optionalFlag('tokenizer.ggml.add_space_prefix') ?? true;
  const merges = tokens.flatMap((token, id) => {
    const characters = [...token];
    return characters.slice(1).flatMap((_, i) => {
      const [left, right] = [characters.slice(0, i + 1).join(''), characters.slice(i + 1).join('')];
      return Object.hasOwn(vocabulary, left) && Object.hasOwn(vocabulary, right)
        ? [{ left, right, score: scores[id]!, ids: [vocabulary[left]!, vocabulary[right]!] }]
        : [];
    });
  });
  merges.sort((a, b) => b.score - a.score || a.ids[0]! - b.ids[0]! || a.ids[1]! - b.ids[1]!);
  const unknown = fields.optionalNumber('tokenizer.ggml.unknown_token_id');
  return {
    normalizer: {
      type: 'Sequence',
      normalizers: [
        ...(addsSpace ? [{ type: 'Prepend', prepend: SPACE }] : []),
        { type: 'Replace', pattern: { String: ' ' }, content: SPACE },
      ],
    },
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(addsSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: unknown === undefined ? null : tokens[unknown],
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: vocabulary,
      merges: merges.map(({ left, right }) => [left, right]),
    },
  };
}

function specialTokens(fields: GgufFields, tokens: readonly string[], file: GgufFile): JsonObject {
  const names = { bos: 'bos', eos: 'eos', unknown: 'unk', padding: 'pad' } as const;
  return Object.fromEntries(
    Object.entries(names).map(([key, name]) => {
      const id = fields.optionalNumber(`tokenizer.ggml.${key}_token_id`);
      if (id !== undefined && tokens[id] === undefined)
        throw refused(file, `has no token ${id}, which is its ${name}_token`);
      return [`${name}_token`, id === undefined ? null : tokens[id]];
    }),
  );
}

/** The tokens that go around a text. llama.cpp adds a begin to SentencePiece's texts by default. */
function around(fields: GgufFields, tokens: readonly string[], model: string): JsonObject | null {
  const id = (name: string) => fields.optionalNumber(`tokenizer.ggml.${name}_token_id`);
  const pre = fields.optionalText('tokenizer.ggml.pre');
  const addsBegin =
    fields.optionalFlag('tokenizer.ggml.add_bos_token') ??
    (model === 'llama' || pre === 'llama-bpe');
  const addsEnd = fields.optionalFlag('tokenizer.ggml.add_eos_token') ?? false;
  const special = (wanted: boolean, given: number | undefined) =>
    wanted && given !== undefined ? [{ id: given, token: tokens[given]! }] : [];
  const [begin, end] = [special(addsBegin, id('bos')), special(addsEnd, id('eos'))];
  if (begin.length + end.length === 0) return null;
  const sequence = (letter: string, type: number) => [
    ...begin.map(({ token }) => ({ SpecialToken: { id: token, type_id: type } })),
    { Sequence: { id: letter, type_id: type } },
    ...end.map(({ token }) => ({ SpecialToken: { id: token, type_id: type } })),
  ];
  return {
    type: 'TemplateProcessing',
    single: sequence('A', 0),
    pair: [...sequence('A', 0), ...sequence('B', 1)],
    special_tokens: Object.fromEntries(
      [...begin, ...end].map(({ id: number, token }) => [
        token,
        { id: token, ids: [number], tokens: [token] },
      ]),
    ),
  };
}
