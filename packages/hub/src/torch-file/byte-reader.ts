/** Reads a file or an array forward, a window at a time. */

const WINDOW = 65_536;

export class ByteReader {
  /** Offset of the next byte. */
  position: number;
  readonly #end: number;
  readonly #readSpan: (offset: number, length: number) => Uint8Array;
  #window: Uint8Array = new Uint8Array(0);
  #windowStart = 0;

  /** @param readSpan gives bytes of what is read, for offsets from `start` to `end`. */
  constructor(
    readSpan: (offset: number, length: number) => Uint8Array,
    start: number,
    end: number,
  ) {
    this.#readSpan = readSpan;
    this.position = start;
    this.#end = end;
  }

  get remaining(): number {
    return this.#end - this.position;
  }

  /** The next byte, or -1 at the end. */
  byte(): number {
    if (this.position >= this.#end) return -1;
    let index = this.position - this.#windowStart;
    if (index < 0 || index >= this.#window.length) {
      this.#windowStart = this.position;
      this.#window = this.#readSpan(this.position, Math.min(WINDOW, this.remaining));
      index = 0;
    }
    this.position += 1;
    return this.#window[index]!;
  }

  /** The next `length` bytes, or undefined where fewer are left. */
  bytes(length: number): Uint8Array | undefined {
    if (length > this.remaining) return undefined;
    const start = this.position;
    this.position += length;
    const index = start - this.#windowStart;
    if (index >= 0 && index + length <= this.#window.length)
      return this.#window.slice(index, index + length);
    return this.#readSpan(start, length);
  }
}
