/**
 * GPT-2's byte-level alphabet: every byte is written as one printable character, so that any text
 * is a sequence of known characters. Printable Latin-1 bytes stand for themselves, the other 68
 * become U+0100 … U+0143. Radford et al. 2019, "Language Models are Unsupervised Multitask
 * Learners", section 2.2.
 */

const PRINTABLE = (byte: number) =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;

/** The character of each byte. */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(PRINTABLE(byte) ? byte : next++),
  );
})();

const BYTE_OF = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

/** Spells the UTF-8 bytes of a text in the byte-level alphabet. */
export function encodeByteLevel(text: string): string {
  let result = '';
  for (const byte of new TextEncoder().encode(text)) result += BYTE_CHARACTERS[byte]!;
  return result;
}

/**
 * The text whose bytes the tokens spell; a token with a foreign character counts as its own UTF-8
 * bytes, broken bytes become U+FFFD.
 */
export function decodeByteLevel(tokens: readonly string[]): string {
  const bytes: number[] = [];
  for (const token of tokens) {
    const own = Array.from(token, (character) => BYTE_OF.get(character));
    if (own.includes(undefined)) bytes.push(...new TextEncoder().encode(token));
    else bytes.push(...(own as number[]));
  }
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}
