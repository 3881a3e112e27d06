/** Keys and values of growing sequences of one attention, each with room to grow. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { layRows, offsetsOf } from '@peft/ops';
import { RowRooms, type RoomPlan } from './row-rooms.js';

/** Keys and values `[N, Hkv·E]` of sequences. */
export interface KeyValues {
  readonly keys: Tensor2D;
  readonly values: Tensor2D;
  /** `[B+1]`: sequence b has rows offsets[b] … offsets[b+1], or so many of them from `starts[b]` on. */
  readonly offsets: Int32Array;
  /** Where each sequence begins `[B]`; absent: at `offsets`. */
  readonly starts?: Int32Array;
}

/** The rows that an attention has seen. It owns its tensors until `dispose`. */
export class CachedRows {
  #rooms = new RowRooms();
  #keys: Tensor2D | undefined;
  #values: Tensor2D | undefined;

  /** Rows of each sequence `[B]`. */
  get lengths(): Int32Array {
    return this.#rooms.lengths;
  }

  /** Of the rooms, the free rows among them. */
  get byteLength(): number {
    return 4 * ((this.#keys?.size ?? 0) + (this.#values?.size ?? 0));
  }

  /**
   * Puts new rows behind those of each sequence, or begins with them.
   * @returns all of them, owned by this until its next change
   * @throws PEFT_CACHE_SEQUENCES for another number of sequences
   */
  extend(added: KeyValues): KeyValues {
    const counts = lengthsOf(added.offsets);
    if (!this.#keys) {
      this.#lay(this.#rooms.add(counts), added, Array.from(added.offsets), counts);
      return added;
    }
    const sequences = this.#rooms.lengths.length;
    if (counts.length !== sequences)
      throw new PeftError(
        'PEFT_CACHE_SEQUENCES',
        `the cache holds ${sequences} sequences, the batch goes on with ${counts.length}.`,
        { hint: 'select the sequences that go on' },
      );
    this.#lay(this.#rooms.grow(counts), added, Array.from(added.offsets), counts);
    return {
      keys: this.#keys,
      values: this.#values!,
      offsets: offsetsOf(this.#rooms.lengths),
      starts: this.#rooms.starts,
    };
  }

  /** Goes on with these sequences in this order; one may repeat. */
  keep(sequences: Int32Array): void {
    this.#lay(this.#rooms.keep(sequences));
  }

  /** Takes over the sequences of another one, behind its own. The other one is empty afterwards. */
  append(other: CachedRows): void {
    if (this.#keys) {
      const counts = [...other.#rooms.lengths];
      const starts = [...other.#rooms.starts];
      const from = { keys: other.#keys!, values: other.#values! };
      this.#lay(this.#rooms.add(counts), from, starts, counts);
      return other.dispose();
    }
    [this.#rooms, this.#keys, this.#values] = [other.#rooms, other.#keys, other.#values];
    [other.#rooms, other.#keys, other.#values] = [new RowRooms(), undefined, undefined];
  }

  dispose(): void {
    tf.dispose([this.#keys, this.#values].filter((rows) => rows !== undefined));
    [this.#rooms, this.#keys, this.#values] = [new RowRooms(), undefined, undefined];
  }

  /** @param starts rows of `added` at which `counts` rows for each target begin */
  #lay(
    { targets, ...plan }: RoomPlan,
    added?: Pick<KeyValues, 'keys' | 'values'>,
    starts: readonly number[] = [],
    counts: readonly number[] = [],
  ): void {
    const additions = Int32Array.from(
      counts.flatMap((count, b) => [starts[b]!, targets[b]!, count]),
    );
    if (plan.isInPlace && plan.moves.length + additions.length === 0) return;
    const before = [this.#keys, this.#values] as const;
    const [keys, values] = tf.tidy(() => [
      layRows(before[0], added?.keys, { ...plan, additions }),
      layRows(before[1], added?.values, { ...plan, additions }),
    ]);
    [this.#keys, this.#values] = [tf.keep(keys!), tf.keep(values!)];
    tf.dispose(before.filter((rows) => rows !== undefined));
  }
}

/** Rows of each sequence. */
export const lengthsOf = (offsets: Int32Array): number[] =>
  Array.from({ length: offsets.length - 1 }, (_, b) => offsets[b + 1]! - offsets[b]!);
