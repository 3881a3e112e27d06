/**
 * A tokeniser of one checkpoint: texts to token ids and back, exactly as the `tokenizers` library
 * runs the same `tokenizer.json`.
 */
import { check } from '@peft/errors';
import { createSectioner } from './added-tokens.js';
import { checkTokenizerJson } from './check-tokenizer-json.js';
import { createDecoder } from './components/decoders.js';
import { createNormalizer } from './components/normalizers.js';
import { createPostProcessor, type TokenSequence } from './components/post-processors.js';
import { createPreTokenizer } from './components/pre-tokenizers.js';
import type { SpecialTokenName, SpecialTokens } from './special-tokens.js';
import { createModel } from './models/token-models.js';
import type { TokenizerJson } from './tokenizer-json.js';
import { truncatePair } from './truncate-pair.js';

/** How `encode` joins, closes and cuts texts. */
export interface EncodeOptions {
  /** A second text, for tasks on pairs. */
  readonly pair?: string;
  /** Put the model's special tokens around the texts. Default true. */
  readonly addSpecialTokens?: boolean;
  /**
   * Tokens kept, special tokens counted; of two texts the longer one is cut first. Default: no
   * limit.
   */
  readonly maxLength?: number;
}

/** Texts to token ids and back, equal to the `tokenizers` library on the same files. */
export interface TextTokenizer {
  /**
   * Ids are below this: tokens of the model and added ones. The embedding matrix may have spare
   * rows beyond.
   */
  readonly vocabularySize: number;
  /**
   * Longest input that the model was made for, in tokens; Infinity where the tokeniser sets no
   * limit.
   */
  readonly modelMaxLength: number;
  /** Ids of the special tokens that this tokeniser has. */
  readonly specialIds: Readonly<Partial<Record<SpecialTokenName, number>>>;
  /** Ids that `decode` leaves out by default. */
  readonly allSpecialIds: ReadonlySet<number>;
  encode(text: string, options?: EncodeOptions): TokenSequence;
  /** Ids of a text alone: no special tokens added, nothing cut. */
  ids(text: string): number[];
  /** The text of token ids; special tokens are left out unless `skipSpecialTokens` is false. */
  decode(ids: Iterable<number>, options?: { skipSpecialTokens?: boolean }): string;
  tokenToId(token: string): number | undefined;
  idToToken(id: number): string | undefined;
}

/**
 * Builds a tokeniser from the parsed `tokenizer.json`. Truncation and padding in that file are not
 * applied: the caller decides on lengths.
 *
 * @throws PEFT_TOKENIZER_UNSUPPORTED or PEFT_TOKENIZER_INVALID, naming the component.
 */
export function createTextTokenizer(
  json: TokenizerJson,
  special: SpecialTokens = {},
  modelMaxLength = Number.POSITIVE_INFINITY,
): TextTokenizer {
  checkTokenizerJson(json);
  const added = json.added_tokens ?? [];
  const sections = createSectioner(added, createNormalizer(json.normalizer));
  const preTokenize = createPreTokenizer(json.pre_tokenizer);
  const model = createModel(json.model);
  const postProcess = createPostProcessor(json.post_processor);
  const decodeTokens = createDecoder(json.decoder);
  const addedIds = new Map(added.map((token) => [token.content, token.id]));
  const addedTokens = new Map(added.map((token) => [token.id, token.content]));
  const allSpecialIds = new Set(added.filter((token) => token.special).map((token) => token.id));

  const tokenToId = (token: string) => addedIds.get(token) ?? model.tokenToId(token);
  const specialIds = Object.fromEntries(
    Object.entries(special).flatMap(([name, token]) => {
      const id = tokenToId(token);
      return id === undefined ? [] : [[name, id] as const];
    }),
  ) as Partial<Record<SpecialTokenName, number>>;

  /**
   * Stops after the piece that reaches `limit`; the reference does so too, and which of two long
   * texts is cut harder depends on it.
   */
  const idsUntil = (text: string, limit: number): number[] => {
    const result: number[] = [];
    for (const section of sections(text)) {
      if ('id' in section) {
        result.push(section.id);
        continue;
      }
      for (const piece of preTokenize(section.text, section.atStart)) {
        for (const id of model.encode(piece)) result.push(id);
        if (result.length >= limit) return result;
      }
    }
    return result;
  };
  const overheads = [1, 2].map(
    (count) =>
      postProcess(
        Array.from({ length: count }, () => []),
        true,
      ).ids.length,
  );

  return {
    vocabularySize: added.reduce((most, { id }) => Math.max(most, id + 1), model.size),
    modelMaxLength,
    specialIds,
    allSpecialIds,
    ids: (text) => idsUntil(text, Number.POSITIVE_INFINITY),
    tokenToId,
    idToToken: (id) => addedTokens.get(id) ?? model.idToToken(id),
    encode(text, { pair, addSpecialTokens = true, maxLength } = {}) {
      if (maxLength !== undefined) check.positiveInteger('data', 'maxLength', maxLength);
      const limit = maxLength ?? Number.POSITIVE_INFINITY;
      let texts: (readonly number[])[] = (pair === undefined ? [text] : [text, pair]).map((each) =>
        idsUntil(each, limit),
      );
      if (maxLength !== undefined)
        texts = truncatePair(
          texts,
          maxLength - (addSpecialTokens ? overheads[texts.length - 1]! : 0),
        );
      return postProcess(texts, addSpecialTokens);
    },
    decode(tokenIds, { skipSpecialTokens = true } = {}) {
      const tokens: string[] = [];
      for (const id of tokenIds) {
        const token =
          skipSpecialTokens && allSpecialIds.has(id)
            ? undefined
            : (addedTokens.get(id) ?? model.idToToken(id));
        if (token !== undefined) tokens.push(token);
      }
      return decodeTokens(tokens);
    },
  };
}
