/** A tokeniser as llama.cpp reads it: byte-level BPE, or SentencePiece's BPE with byte fallback. */
import type { TextTokenizer, TokenizerJson } from '@peft/data';
import { GGUF_PRE_TOKENIZERS, type GgufEntry } from '@peft/hub';
import { unsupported } from '../unsupported.js';

/** `tokenizer.ggml.token_type`. */
const TOKEN = Object.freeze({
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const);

const TARGET = 'llama.cpp';

interface Bpe {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (string | readonly [string, string])[];
  readonly ignore_merges?: boolean;
  readonly byte_fallback?: boolean;
  readonly unk_token?: string | null;
}

export interface TokenizerMetadata {
  readonly entries: readonly GgufEntry[];
  readonly warnings: readonly string[];
}

/** How answers end. */
export interface AnswerEnds {
  /** The token that closes a turn of the chat template, where there is one. */
  readonly turnEnd: number | undefined;
  /** All tokens that end one. */
  readonly endIds: readonly number[];
}

/**
 * @param json `tokenizer.json`.
 * @param tokenizer the same, built.
 * @param rows of the embedding's table; ids beyond the tokens are filled with unused ones.
 * @throws PEFT_EXPORT_UNSUPPORTED for a tokeniser that llama.cpp does not have
 */
export function tokenizerMetadata(
  json: TokenizerJson,
  tokenizer: TextTokenizer,
  rows: number,
  ends: AnswerEnds,
): TokenizerMetadata {
  if (json.model.type !== 'BPE' && json.model.type !== undefined)
    throw unsupported(
      TARGET,
      `reads BPE for this family, and the tokenizer is ${String(json.model.type)}`,
      'use safetensors',
    );
  if (tokenizer.vocabularySize > rows)
    throw unsupported(
      TARGET,
      `needs a row of the embedding for each token: ${tokenizer.vocabularySize} tokens, ${rows} rows`,
      'save the model with an embedding of that many rows',
    );
  const bpe = json.model as unknown as Bpe; // the tokeniser was built from it
  const pieces = bpe.byte_fallback === true;
  const tokens = Array.from({ length: rows }, (_, id) => tokenizer.idToToken(id) ?? `[PAD${id}]`);
  const types = tokenTypes(json, tokenizer, tokens, bpe);
  const own = pieces ? piecesEntries(json, bpe, tokens) : bytesEntries(json, bpe);
  const special = specialEntries(tokenizer, ends);
  return {
    entries: [
      ...own.entries,
      { key: 'tokenizer.ggml.tokens', type: 'string', value: tokens },
      { key: 'tokenizer.ggml.token_type', type: 'i32', value: types },
      ...special.entries,
    ],
    warnings: [...own.warnings, ...special.warnings],
  };
}

function tokenTypes(
  { added_tokens: added = [] }: TokenizerJson,
  tokenizer: TextTokenizer,
  tokens: readonly string[],
  { unk_token: unknown }: Bpe,
): number[] {
  const kinds = new Map(
    added.map(({ id, special }) => [id, special ? TOKEN.control : TOKEN.userDefined]),
  );
  return tokens.map((token, id) => {
    if (tokenizer.idToToken(id) === undefined) return TOKEN.unused;
    if (token === unknown) return TOKEN.unknown;
    const kind = kinds.get(id);
    if (kind !== undefined) return kind;
    return /^<0x[0-9A-F]{2}>$/.test(token) ? TOKEN.byte : TOKEN.normal;
  });
}

/** Byte-level BPE. */
function bytesEntries(json: TokenizerJson, bpe: Bpe): TokenizerMetadata {
  const wanted = comparable(json.pre_tokenizer);
  const found = GGUF_PRE_TOKENIZERS.find(
    ({ json: known, ignoresMerges }) =>
      comparable(known) === wanted && ignoresMerges === (bpe.ignore_merges ?? false),
  );
  if (!found)
    throw unsupported(
      TARGET,
      `has no name for how this tokenizer cuts words (${JSON.stringify(json.pre_tokenizer)})`,
      `known are those of ${GGUF_PRE_TOKENIZERS.map(({ name }) => name).join(', ')}`,
    );
  const normalizer = json.normalizer?.type;
  if (normalizer !== undefined && normalizer !== 'NFC')
    throw unsupported(TARGET, `has no ${normalizer} before byte-level BPE`, 'use safetensors');
  return {
    entries: [
      { key: 'tokenizer.ggml.model', type: 'string', value: 'gpt2' },
      { key: 'tokenizer.ggml.pre', type: 'string', value: found.name },
      { key: 'tokenizer.ggml.merges', type: 'string', value: bpe.merges.map(mergeText) },
    ],
    warnings:
      normalizer === 'NFC'
        ? ['llama.cpp does not compose characters (NFC): write prompts with composed ones.']
        : [],
  };
}

const mergeText = (merge: string | readonly [string, string]): string =>
  typeof merge === 'string' ? merge : merge.join(' ');

/** Without what says nothing of the words. */
function comparable(value: unknown): string {
  return JSON.stringify(value, (key, inner: unknown) => {
    if (key === 'trim_offsets' || (key === 'invert' && inner === false)) return undefined;
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/**
 * SentencePiece's BPE. Its scores order the merges: a token's is minus the rank of the first merge
 * that makes it.
 */
function piecesEntries(
  json: TokenizerJson,
  bpe: Bpe,
  tokens: readonly string[],
): TokenizerMetadata {
  const ranks = new Map<string, number>();
  bpe.merges.forEach((merge, rank) => {
    const made = (typeof merge === 'string' ? merge.split(' ') : merge).join('');
    if (!ranks.has(made)) ranks.set(made, rank);
  });
  const scores = tokens.map((token) => -(ranks.get(token) ?? (token.length > 1 ? 1e9 : 0)));
  return {
    entries: [
      { key: 'tokenizer.ggml.model', type: 'string', value: 'llama' },
      { key: 'tokenizer.ggml.pre', type: 'string', value: 'default' },
      { key: 'tokenizer.ggml.scores', type: 'f32', value: scores },
      { key: 'tokenizer.ggml.add_space_prefix', type: 'bool', value: addsSpace(json) },
    ],
    warnings: [],
  };
}

/** Whether a space is put before a text. */
function addsSpace({ normalizer, pre_tokenizer: words }: TokenizerJson): boolean {
  const parts = (normalizer?.type === 'Sequence' ? normalizer['normalizers'] : [normalizer]) as
    readonly ({ readonly type?: string } | null | undefined)[] | undefined;
  const known = ['Prepend', 'Replace', undefined];
  const other = parts?.find((part) => !known.includes(part?.type));
  if (other)
    throw unsupported(TARGET, `has no ${other.type} before SentencePiece's BPE`, 'use safetensors');
  if (parts?.some((part) => part?.type === 'Prepend')) return true;
  if (words?.type === 'Metaspace') return words['prepend_scheme'] !== 'never';
  return false;
}

/** A file has three places for tokens that end a text: `eos`, `eot` and `eom`. */
function specialEntries(
  tokenizer: TextTokenizer,
  { turnEnd, endIds }: AnswerEnds,
): TokenizerMetadata {
  const { bos, eos = endIds[0], unk, pad } = tokenizer.specialIds;
  const others = endIds.filter((end) => end !== eos && end !== turnEnd);
  const [eot, eom, ...rest] = turnEnd === undefined ? others : [turnEnd, ...others];
  const { ids } = tokenizer.encode('a');
  const [first, last] = [ids[0], ids.at(-1)];
  const id = (key: string, value: number | undefined): GgufEntry[] =>
    value === undefined ? [] : [{ key: `tokenizer.ggml.${key}_token_id`, type: 'u32', value }];
  const entries: GgufEntry[] = [
    ...id('bos', bos),
    ...id('eos', eos),
    ...id('unknown', unk),
    ...id('padding', pad),
    ...id('eot', eot),
    ...id('eom', eom),
    {
      key: 'tokenizer.ggml.add_bos_token',
      type: 'bool',
      value: bos !== undefined && first === bos,
    },
    {
      key: 'tokenizer.ggml.add_eos_token',
      type: 'bool',
      value: eos !== undefined && ids.length > 1 && last === eos,
    },
  ];
  const names = rest.map((end) => tokenizer.idToToken(end) ?? String(end));
  return {
    entries,
    warnings: rest.length
      ? [`a GGUF file names three tokens that end a text, and not ${names.join(', ')}.`]
      : [],
  };
}
