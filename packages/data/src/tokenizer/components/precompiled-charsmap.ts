/**
 * SentencePiece's precompiled character map, as the `Precompiled` normaliser of the `tokenizers`
 * library applies it.
 *
 * Bytes: uint32 n, a double-array trie of n bytes (little-endian uint32 units, Darts-clone layout),
 * then the replacements as zero-terminated UTF-8 strings; a leaf's value is the offset of its
 * replacement.
 *
 * A grapheme of fewer than 6 UTF-8 bytes is replaced as a whole when the trie knows any prefix of
 * it (the shortest counts, and the rest of the grapheme is dropped: that is what the models were
 * trained with). Otherwise each of its characters is looked up by itself.
 */
import { invalidTokenizer } from './component-error.js';

/**
 * Characters below U+0300 without CR, and kana, kanji and full-width forms: each is a grapheme by
 * itself when it stands among its like.
 */
const PLAIN =
  /^[\0-\x0c\x0e-\u02ff\u2010-\u2027\u3000-\u3029\u3041-\u3096\u30a0-\u30ff\u4e00-\u9fff\uff01-\uff9d]*$/;
const MAXIMUM_MEMO = 50_000;

/**
 * Makes the normaliser of a SentencePiece model's character map.
 * @param bytes the character map (`precompiled_charsmap`, base64 in `tokenizer.json`, raw in a
 *   `.model` file).
 * @returns the normaliser.
 * @throws PEFT_TOKENIZER_INVALID if lengths or offsets do not fit.
 */
export function precompiledNormalizer(bytes: Uint8Array): (text: string) => string {
  if (bytes.length === 0) return (text) => text;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const trieBytes = bytes.length >= 4 ? view.getUint32(0, true) : 0;
  if (trieBytes < 4 || trieBytes % 4 !== 0 || trieBytes + 4 > bytes.length) {
    throw invalidTokenizer(
      `the normaliser's character map of ${bytes.length} bytes says that its trie has ${trieBytes}.`,
    );
  }
  const units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) =>
    view.getUint32(4 + 4 * i, true),
  );
  const replacements = bytes.subarray(4 + trieBytes);
  const lookUp = (chunk: Uint8Array) => replacementOf(units, replacements, chunk);

  const encoder = new TextEncoder();
  const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });
  const memo = new Map<string, string>();
  const normalizeGrapheme = (grapheme: string): string => {
    const known = memo.get(grapheme);
    if (known !== undefined) return known;
    const whole = encoder.encode(grapheme);
    let result = whole.length < 6 ? lookUp(whole) : undefined;
    if (result === undefined) {
      result = '';
      for (const character of grapheme) result += lookUp(encoder.encode(character)) ?? character;
    }
    if (memo.size >= MAXIMUM_MEMO) memo.clear();
    memo.set(grapheme, result);
    return result;
  };

  return (text) => {
    let result = '';
    if (PLAIN.test(text)) for (const character of text) result += normalizeGrapheme(character);
    else for (const { segment } of segmenter.segment(text)) result += normalizeGrapheme(segment);
    return result;
  };
}

/** The replacement of the shortest known prefix of `key`, or undefined. */
function replacementOf(
  units: Uint32Array,
  replacements: Uint8Array,
  key: Uint8Array,
): string | undefined {
  let position = offset(units[0]!);
  for (const byte of key) {
    if (byte === 0) return undefined;
    position ^= byte;
    const unit = units[position];
    if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return undefined;
    position ^= offset(unit);
    if (((unit >>> 8) & 1) === 1) {
      const leaf = units[position];
      if (leaf === undefined)
        throw invalidTokenizer("the trie of the normaliser's character map points past its end.");
      const start = leaf & 0x7fffffff;
      const end = replacements.indexOf(0, start);
      if (start > replacements.length)
        throw invalidTokenizer(
          "a replacement of the normaliser's character map lies past its end.",
        );
      return new TextDecoder().decode(
        replacements.subarray(start, end === -1 ? replacements.length : end),
      );
    }
  }
  return undefined;
}

/** Where a unit's children lie, to be xor-ed with the byte. */
function offset(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
