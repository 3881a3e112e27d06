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
  /** Read, and held back. */
  #held: readonly Stretch[] = [];

  constructor(
    readonly tokenizer: Pick<TextTokenizer, 'decode'> &
      Partial<Pick<TextTokenizer, 'allSpecialIds' | 'idToToken'>>,
    readonly stopStrings: readonly string[] = [],
  ) {}

  push(id: number): TextPiece {
    const special = this.#specialInStop(id);
    if (special === undefined) {
      this.#tokens.push(id);
      return this.#hand([shown(this.#decoded(false))], false);
    }
    // nothing goes on across a special token
    const before = shown(this.#decoded(true));
    const isStop = this.stopStrings.some((stop) => stop.trim() === special);
    return isStop
      ? { ...this.#hand([before], true), isStopped: true }
      : this.#hand([before, { text: special, isShown: false }], false);
  }

  /** What is left when the text has ended. */
  end(): TextPiece {
    return this.#hand([shown(this.#decoded(true))], true);
  }

  /** The special token, which `decode` leaves out, where a stop string names it. */
  #specialInStop(id: number): string | undefined {
    if (this.tokenizer.allSpecialIds?.has(id) !== true) return undefined;
    const token = this.tokenizer.idToToken?.(id);
    return token !== undefined && this.stopStrings.some((stop) => stop.includes(token))
      ? token
      : undefined;
  }

  #decoded(isLast: boolean): string {
    const before = this.tokenizer.decode(this.#tokens.slice(this.#start, this.#done));
    const now = this.tokenizer.decode(this.#tokens.slice(this.#start));
    if (now.length <= before.length || (now.endsWith(INCOMPLETE) && !isLast)) return '';
    this.#start = this.#done;
    this.#done = this.#tokens.length;
    return now.slice(before.length);
  }

  #hand(added: readonly Stretch[], isLast: boolean): TextPiece {
    const read = [...this.#held, ...added].filter(({ text }) => text !== '');
    const text = read.map((stretch) => stretch.text).join('');
    const places = this.stopStrings.map((stop) => text.indexOf(stop)).filter((place) => place >= 0);
    if (places.length > 0) {
      this.#held = [];
      return { text: shownUntil(read, Math.min(...places)), isStopped: true };
    }
    const held = isLast ? 0 : Math.max(0, ...this.stopStrings.map((stop) => overlap(text, stop)));
    const end = text.length - held;
    this.#held = stretchesFrom(read, end);
    return { text: shownUntil(read, end), isStopped: false };
  }
}

/** Text of tokens, or a special token that stop strings see and readers do not. */
interface Stretch {
  readonly text: string;
  readonly isShown: boolean;
}

const shown = (text: string): Stretch => ({ text, isShown: true });

/** What readers see of the first `end` characters. */
function shownUntil(stretches: readonly Stretch[], end: number): string {
  let at = 0;
  let seen = '';
  for (const { text, isShown } of stretches) {
    if (isShown) seen += text.slice(0, Math.max(0, end - at));
    at += text.length;
  }
  return seen;
}

function stretchesFrom(stretches: readonly Stretch[], start: number): Stretch[] {
  let at = 0;
  return stretches.flatMap(({ text, isShown }) => {
    const rest = text.slice(Math.max(0, start - at));
    at += text.length;
    return rest === '' ? [] : [{ text: rest, isShown }];
  });
}

/** Length of the longest end of `text` that `stop` begins with. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
