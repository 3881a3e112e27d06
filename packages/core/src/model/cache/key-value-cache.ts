/**
 * Keys and values of the tokens that a decoder has read, attention by attention, so that the tokens
 * to come cost no more than their own rows. What cross attention reads is made once.
 *
 * Each sequence has room to grow, so that a token moves no other sequence's rows. Virtual tokens and
 * those that a prefix stands for are counted.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { gatherRows, offsetsOf } from '@peft/ops';
import { CachedRows, lengthsOf, type KeyValues } from './cached-rows.js';

/**
 * Keys and values of the tokens that a decoder has read, by attention site, so that the next run
 * computes its new tokens alone. It owns its tensors until `dispose`.
 */
export class KeyValueCache {
  readonly #past = new Map<string, CachedRows>();
  readonly #memory = new Map<string, KeyValues>();
  readonly #pinned = new Map<string, string>();
  readonly #beside = new Map<string, KeyValueCache>();
  /** Which of the first run's sequences each one goes on from. */
  #origins: Int32Array | undefined;

  /** Rows of each sequence so far `[B]`, undefined before the first run. */
  get lengths(): Int32Array | undefined {
    const [first] = this.#past.values();
    return first?.lengths;
  }

  /**
   * The cache of a small model that runs on the same tokens: it goes where this one goes.
   * @param name of the model
   */
  beside(name: string): KeyValueCache {
    const found = this.#beside.get(name) ?? new KeyValueCache();
    this.#beside.set(name, found);
    return found;
  }

  /** Whether an attention's rows are in it. */
  holds(path: string): boolean {
    return this.#past.has(path);
  }

  /** Bytes that are held, of rows that are free yet among them. */
  get byteLength(): number {
    const memory = [...this.#memory.values()];
    return (
      memory.reduce((sum, { keys, values }) => sum + 4 * (keys.size + values.size), 0) +
      [...this.#past.values()].reduce((sum, rows) => sum + rows.byteLength, 0) +
      [...this.#beside.values()].reduce((sum, cache) => sum + cache.byteLength, 0)
    );
  }

  /**
   * Puts new rows behind those of an attention.
   * @returns all of them, owned by the cache until its next change.
   */
  extend(path: string, added: KeyValues): KeyValues {
    this.#origins ??= Int32Array.from({ length: added.offsets.length - 1 }, (_, b) => b);
    const known = this.#past.get(path) ?? new CachedRows();
    this.#past.set(path, known);
    return known.extend(added);
  }

  /**
   * What cross attention reads: `make` runs the first time only.
   * @returns tensors that the cache owns.
   */
  remember(
    path: string,
    offsets: Int32Array,
    make: () => readonly [Tensor2D, Tensor2D],
  ): readonly [Tensor2D, Tensor2D] {
    const known = this.#memory.get(path);
    if (known) return [known.keys, known.values];
    const [keys, values] = make();
    this.#memory.set(path, keep({ keys, values, offsets }));
    return [keys, values];
  }

  /**
   * Says what the cached rows depend on beside their tokens (rotary angles that follow the length).
   * @throws PEFT_CACHE_STALE when it is no longer what it was: the sequences have to be read again,
   *   with a new cache.
   */
  pin(name: string, value: string): void {
    const pinned = this.#pinned.get(name);
    if (pinned !== undefined && pinned !== value)
      throw new PeftError(
        'PEFT_CACHE_STALE',
        `the cached keys were made with ${name} ${pinned}, which is ${value} now.`,
        { hint: 'read the sequences again from their start, with a new cache' },
      );
    this.#pinned.set(name, value);
  }

  /** Keeps these sequences in this order; one may repeat (beams). */
  select(sequences: Int32Array): void {
    for (const cache of this.#beside.values()) cache.select(sequences);
    const origins = this.#origins;
    if (!origins || sequences.every((b, i) => b === i && sequences.length === origins.length))
      return;
    this.#origins = sequences.map((b) => origins[b]!);
    for (const rows of this.#past.values()) rows.keep(sequences);
    const isSameMemory =
      sequences.length === origins.length &&
      this.#origins.every((origin, i) => origin === origins[i]);
    if (!isSameMemory) replace(this.#memory, sequences);
  }

  /** Whether what the rows depend on beside their tokens is the same in another cache. */
  fits(other: KeyValueCache): boolean {
    return (
      this.#pinned.size === other.#pinned.size &&
      [...this.#pinned].every(([name, value]) => other.#pinned.get(name) === value) &&
      [...this.#beside].every(([name, cache]) => cache.fits(other.beside(name)))
    );
  }

  /** Whether rows depend on more than their tokens, so that sequences of one cache influence one another. */
  get isPinned(): boolean {
    return this.#pinned.size > 0 || [...this.#beside.values()].some(({ isPinned }) => isPinned);
  }

  /**
   * Takes over the sequences of another cache, behind its own. The other one is empty afterwards.
   * @throws PEFT_CACHE_STALE when they do not fit
   */
  append(other: KeyValueCache): void {
    if (this.#origins && !this.fits(other))
      throw new PeftError('PEFT_CACHE_STALE', 'the keys of the two caches were made otherwise.', {
        hint: 'go on with each cache in a batch of its own',
      });
    for (const [name, cache] of other.#beside) this.beside(name).append(cache);
    for (const [path, rows] of other.#past) {
      const own = this.#past.get(path);
      if (own) own.append(rows);
      else this.#past.set(path, rows);
    }
    other.#past.clear();
    appendAll(this.#memory, other.#memory);
    const sequences = (this.#origins?.length ?? 0) + (other.#origins?.length ?? 0);
    this.#origins = Int32Array.from({ length: sequences }, (_, b) => b);
    for (const [name, value] of other.#pinned) this.#pinned.set(name, value);
    other.dispose();
  }

  dispose(): void {
    for (const cache of this.#beside.values()) cache.dispose();
    this.#beside.clear();
    for (const rows of this.#past.values()) rows.dispose();
    for (const { keys, values } of this.#memory.values()) tf.dispose([keys, values]);
    this.#past.clear();
    this.#memory.clear();
    this.#pinned.clear();
    this.#origins = undefined;
  }
}

function keep(entry: KeyValues): KeyValues {
  tf.keep(entry.keys);
  tf.keep(entry.values);
  return entry;
}

function replace(entries: Map<string, KeyValues>, sequences: Int32Array): void {
  for (const [path, { keys, values, offsets }] of entries) {
    const rows = rowsOf(offsets, sequences);
    const lengths = lengthsOf(offsets);
    const chosen = offsetsOf(Array.from(sequences, (b) => lengths[b]!));
    entries.set(
      path,
      keep(
        tf.tidy(() => ({
          keys: tf.keep(gatherRows(keys, rows)),
          values: tf.keep(gatherRows(values, rows)),
          offsets: chosen,
        })),
      ),
    );
    tf.dispose([keys, values]);
  }
}

/** Moves the entries of `added` behind those of `entries`. */
function appendAll(entries: Map<string, KeyValues>, added: Map<string, KeyValues>): void {
  for (const [path, { keys, values, offsets }] of added) {
    const own = entries.get(path);
    if (!own) {
      entries.set(path, { keys, values, offsets });
      continue;
    }
    const first = own.offsets.at(-1)!;
    entries.set(
      path,
      keep(
        tf.tidy(() => ({
          keys: tf.keep(tf.concat([own.keys, keys])),
          values: tf.keep(tf.concat([own.values, values])),
          offsets: Int32Array.of(...own.offsets, ...offsets.subarray(1).map((at) => at + first)),
        })),
      ),
    );
    tf.dispose([own.keys, own.values, keys, values]);
  }
  added.clear();
}

/** Rows of these sequences, one after another. */
export function rowsOf(offsets: Int32Array, sequences: Int32Array): Int32Array {
  return Int32Array.from(
    [...sequences].flatMap((b) =>
      Array.from({ length: offsets[b + 1]! - offsets[b]! }, (_, t) => offsets[b]! + t),
    ),
  );
}
