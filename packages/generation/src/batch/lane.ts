/** Texts that go on together. */
import { BASE_ADAPTER, KeyValueCache, type Model } from '@peft/core';
import { PeftError } from '@peft/errors';
import { offsetsOf, readInScope, readValues } from '@peft/ops';
import type { BatchText } from './batch-request.js';

/** Texts that go on together, and what was computed of them. */
export interface Lane {
  readonly texts: readonly BatchText[];
  /** Bytes that keys and values take. */
  readonly cacheBytes: number;
  /** Whether each of its texts must have a pass of its own. */
  readonly isAlone: boolean;
  /**
   * Reads on, `limit` tokens of each text at most.
   * @returns logits of what follows each text `[V]` (views of one array), or undefined while tokens
   *   are left unread
   */
  read(limit: number): Promise<Float32Array[] | undefined>;
  /** Goes on with these texts, by number. */
  keep(numbers: readonly number[]): void;
  /** Whether the texts of another lane can go on in this one. */
  fits(other: Lane): boolean;
  /** Takes over the texts of another lane, which is empty afterwards. */
  take(other: Lane): void;
  dispose(): void;
}

/** Texts of a decoder: one cache, one pass for the next token of each. */
export class DecoderLane implements Lane {
  #cache = new KeyValueCache();
  #texts: readonly BatchText[];
  /** Tokens of each text that the cache holds. */
  #read: number[];

  constructor(
    readonly model: Model,
    texts: readonly BatchText[],
  ) {
    this.#texts = texts;
    this.#read = texts.map(() => 0);
  }

  get texts(): readonly BatchText[] {
    return this.#texts;
  }

  get cacheBytes(): number {
    return this.#cache.byteLength;
  }

  /** Where texts of one pass influence one another (rotary angles that follow the longest). */
  get isAlone(): boolean {
    return this.#cache.isPinned;
  }

  async read(limit: number): Promise<Float32Array[] | undefined> {
    try {
      return await this.#readOn(limit);
    } catch (error) {
      if (!(error instanceof PeftError && error.code === 'PEFT_CACHE_STALE')) throw error;
      this.#cache.dispose();
      this.#cache = new KeyValueCache();
      this.#read = this.#texts.map(() => 0);
      return this.#readOn(Number.POSITIVE_INFINITY);
    }
  }

  keep(numbers: readonly number[]): void {
    if (numbers.length === this.#texts.length) return;
    if (numbers.length === 0) this.#cache.dispose();
    else this.#cache.select(Int32Array.from(numbers));
    this.#texts = numbers.map((b) => this.#texts[b]!);
    this.#read = numbers.map((b) => this.#read[b]!);
  }

  fits(other: Lane): boolean {
    return (
      other instanceof DecoderLane &&
      !this.isAlone &&
      !other.isAlone &&
      this.#cache.fits(other.#cache)
    );
  }

  take(other: DecoderLane): void {
    this.#cache.append(other.#cache);
    this.#texts = [...this.#texts, ...other.#texts];
    this.#read.push(...other.#read);
    other.#texts = [];
    other.#read = [];
  }

  dispose(): void {
    this.#cache.dispose();
    this.#texts = [];
    this.#read = [];
  }

  async #readOn(limit: number): Promise<Float32Array[] | undefined> {
    const fresh = this.#texts.map(({ tokens }, b) =>
      tokens.slice(this.#read[b], this.#read[b]! + limit),
    );
    const read = fresh.map(({ length }, b) => this.#read[b]! + length);
    const isLast = this.#texts.every(({ tokens }, b) => read[b] === tokens.length);
    const reading = this.#forward(fresh, isLast);
    this.#read = read;
    const logits = await reading;
    if (!isLast) return undefined;
    const width = logits!.length / this.#texts.length;
    return this.#texts.map((_, b) => logits!.subarray(b * width, (b + 1) * width));
  }

  #forward(
    fresh: readonly (readonly number[])[],
    isLast: boolean,
  ): Promise<Float32Array | undefined> {
    const names = this.#texts.map(({ adapter }) => adapter);
    const taskIds = this.#texts.flatMap(({ request: { taskId } }) => taskId ?? []);
    const isUniform = names.every((name) => name === names[0]);
    if (isUniform) this.model.setActiveAdapters(...names.slice(0, 1).filter(isAdapter));
    return readInScope(() => {
      const output = this.model.forward(
        {
          inputIds: Int32Array.from(fresh.flat()),
          offsets: offsetsOf(fresh.map(({ length }) => length)),
          // an adapter of several tasks has a lane of its own, and each of its texts a task
          ...(taskIds.length > 0 && { taskIds: Int32Array.from(taskIds) }),
        },
        {
          logitRows: isLast ? 'last' : 'none',
          cache: this.#cache,
          assignment: isUniform ? undefined : names,
        },
      );
      return isLast ? readValues(output.logits!) : undefined; // the next token is chosen on the host
    });
  }
}

const isAdapter = (name: string): boolean => name !== BASE_ADAPTER;
