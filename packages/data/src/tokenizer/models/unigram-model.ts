/**
 * Unigram language model: of all ways to write a text as pieces of the vocabulary, the one with the
 * largest sum of log probabilities (Viterbi). A character that no piece covers costs the lowest
 * score of the vocabulary less 10; neighbouring unknown characters become one unknown token, or
 * their bytes where the vocabulary has byte tokens.
 *
 * Kudo 2018, "Subword Regularization", arXiv 1804.10959, equation 2. Among equal sums the first one
 * found, scanning from the left with shorter pieces first, is kept, as the `tokenizers` library
 * does.
 */
import { invalidTokenizer } from '../components/component-error.js';
import { StringTrie } from './string-trie.js';
import type { TokenModel } from './token-model.js';
import type { ComponentJson } from '../tokenizer-json.js';

const UNKNOWN_PENALTY = 10;
const MEMO_PIECE_LENGTH = 32;
const MEMO_SIZE = 50_000;

/**
 * Makes a Unigram model: the likeliest split of a piece, by the pieces’ log probabilities.
 * @throws PEFT_TOKENIZER_INVALID if the vocabulary is not a list of pairs or `unk_id` lies outside
 *   of it.
 */
export function createUnigramModel(json: ComponentJson): TokenModel {
  const vocabulary = json.vocab as [string, number][];
  if (
    !Array.isArray(vocabulary) ||
    vocabulary.length === 0 ||
    vocabulary.some(
      (pair) => !Array.isArray(pair) || typeof pair[0] !== 'string' || typeof pair[1] !== 'number',
    )
  ) {
    throw invalidTokenizer(
      'the vocabulary of the Unigram tokenizer must be a list of [piece, score].',
    );
  }
  const unknownId = (json.unk_id as number | null | undefined) ?? undefined;
  if (
    unknownId !== undefined &&
    !(Number.isInteger(unknownId) && unknownId >= 0 && unknownId < vocabulary.length)
  ) {
    throw invalidTokenizer(
      `the Unigram tokenizer's unk_id ${String(unknownId)} lies outside its ${vocabulary.length} pieces.`,
    );
  }
  const pieces = vocabulary.map(([piece]) => piece);
  const scores = Float64Array.from(vocabulary, ([, score]) => score);
  const trie = new StringTrie(pieces);
  const viterbi = createViterbi(trie, scores);
  const byteIds = json.byte_fallback === true ? byteTokens(trie) : undefined;
  const memo = new Map<string, readonly number[]>();

  const encode = (text: string): readonly number[] => {
    const ids: number[] = [];
    for (const { id, start, end } of viterbi(text)) {
      if (id >= 0 && id !== unknownId) {
        ids.push(id);
        continue;
      }
      if (byteIds) {
        ids.push(
          ...Array.from(new TextEncoder().encode(text.slice(start, end)), (byte) => byteIds[byte]!),
        );
      } else if (unknownId !== undefined) {
        ids.push(unknownId);
      } else {
        throw invalidTokenizer(
          `the Unigram tokenizer has no token for ${JSON.stringify(text.slice(start, end))} and no unknown token.`,
        );
      }
    }
    return ids;
  };

  return {
    size: pieces.length,
    tokenToId: (token) => {
      const id = trie.get(token);
      return id < 0 ? undefined : id;
    },
    idToToken: (id) => pieces[id],
    encode(piece) {
      if (piece.length > MEMO_PIECE_LENGTH) return encode(piece);
      let ids = memo.get(piece);
      if (!ids) {
        ids = encode(piece);
        if (memo.size >= MEMO_SIZE) memo.clear();
        memo.set(piece, ids);
      }
      return ids;
    },
  };
}

interface Segment {
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

/** The best segmentation; neighbouring unknown characters come as one segment with id −1. */
function createViterbi(trie: StringTrie, scores: Float64Array): (text: string) => Segment[] {
  let lowest = Number.POSITIVE_INFINITY;
  for (const score of scores) lowest = Math.min(lowest, score);
  const unknownScore = lowest - UNKNOWN_PENALTY;
  // For each end position: the best sum, where its last segment starts (−1: not reached), and that
  // segment's id.
  let best = new Float64Array(0);
  let startOf = new Int32Array(0);
  let idOf = new Int32Array(0);

  return (text) => {
    const length = text.length;
    if (best.length <= length) {
      best = new Float64Array(2 * length + 1);
      startOf = new Int32Array(2 * length + 1);
      idOf = new Int32Array(2 * length + 1);
    }
    startOf.fill(-1, 0, length + 1);
    best[0] = 0;
    let next = 0;
    for (let start = 0; start < length; start = next) {
      next = start + (text.codePointAt(start)! > 0xffff ? 2 : 1);
      const before = best[start]!;
      let single = false;
      trie.prefixes(text, start, (end, id) => {
        const sum = before + scores[id]!;
        if (startOf[end] === -1 || sum > best[end]!) {
          best[end] = sum;
          startOf[end] = start;
          idOf[end] = id;
        }
        if (end === next) single = true;
      });
      if (!single && (startOf[next] === -1 || before + unknownScore > best[next]!)) {
        best[next] = before + unknownScore;
        startOf[next] = start;
        idOf[next] = -1;
      }
    }
    const segments: Segment[] = [];
    for (let end = length; end > 0;) {
      const id = idOf[end]!;
      let start = startOf[end]!;
      if (id === -1) while (start > 0 && idOf[start] === -1) start = startOf[start]!;
      segments.push({ id, start, end });
      end = start;
    }
    return segments.reverse();
  };
}

/** Ids of `<0x00>` … `<0xFF>`, or undefined when one is missing. */
function byteTokens(trie: StringTrie): number[] | undefined {
  const ids = Array.from({ length: 256 }, (_, byte) =>
    trie.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
  );
  return ids.includes(-1) ? undefined : ids;
}
