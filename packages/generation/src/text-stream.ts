/**
 * Text of tokens that come one by one: each piece is handed out once nothing that follows can
 * change it.
 */
import type { TextTokenizer } from '@peft/data';

/** What one more token adds to a text. */
export interface TextPiece {
  /** What is new of the text. */
  readonly text: string;
  /** A stop string was found: the text ends before it. */
  readonly isStopped: boolean;
}

/** What decoders write for bytes that are not (yet) a character. */
const INCOMPLETE = '\ufffd';

/**
 * Decodes the tokens since the last complete piece together with that piece, since a decoder may
 * write a token otherwise at the start of a text. A text that may yet turn into a stop string is
 * held back.
 */
export class TextStream {
  readonly #tokens: number[] = [];
  /** Tokens from here on are decoded. */
  #start = 0;
  /** Tokens before it have been handed out. */
  #done = 0;
  /** Decoded, and held back. */
  #held = '';

  constructor(
    readonly tokenizer: Pick<TextTokenizer, 'decode'> &
      Partial<Pick<TextTokenizer, 'allSpecialIds' | 'idToToken'>>,
    readonly stopStrings: readonly string[] = [],
  ) {}

  push(id: number): TextPiece {
    if (this.#isSpecialStop(id))
      return { text: this.#hand(this.#decoded(true), true).text, isStopped: true };
    this.#tokens.push(id);
    return this.#hand(this.#decoded(false), false);
  }

  /** What is left when the text has ended. */
  end(): TextPiece {
    return this.#hand(this.#decoded(true), true);
  }

  /** Whether the token is a special one, which `decode` leaves out, and a stop string in itself. */
  #isSpecialStop(id: number): boolean {
    if (this.tokenizer.allSpecialIds?.has(id) !== true) return false;
    const token = this.tokenizer.idToToken?.(id);
    return token !== undefined && this.stopStrings.some((stop) => stop.trim() === token);
  }

  #decoded(isLast: boolean): string {
    const before = this.tokenizer.decode(this.#tokens.slice(this.#start, this.#done));
    const now = this.tokenizer.decode(this.#tokens.slice(this.#start));
    if (now.length <= before.length || (now.endsWith(INCOMPLETE) && !isLast)) return '';
    this.#start = this.#done;
    this.#done = this.#tokens.length;
    return now.slice(before.length);
  }

  #hand(added: string, isLast: boolean): TextPiece {
    const text = this.#held + added;
    const places = this.stopStrings.map((stop) => text.indexOf(stop)).filter((place) => place >= 0);
    if (places.length > 0) {
      this.#held = '';
      return { text: text.slice(0, Math.min(...places)), isStopped: true };
    }
    const held = isLast ? 0 : Math.max(0, ...this.stopStrings.map((stop) => overlap(text, stop)));
    this.#held = text.slice(text.length - held);
    return { text: text.slice(0, text.length - held), isStopped: false };
  }
}

/** Length of the longest end of `text` that `stop` begins with. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
