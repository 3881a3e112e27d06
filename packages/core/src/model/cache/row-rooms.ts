/**
 * Where the rows of growing sequences lie in one matrix: each has a room that is larger than it is,
 * so that a sequence that grows moves no other one, and one that leaves moves none.
 *
 * Numbers alone; `layRows` of @peft/ops does what a plan says. A sequence whose room is full goes on
 * in the free rows behind it or in another gap. Where there is none, the matrix is made anew, each room
 * half as large again as its sequence: n rows move O(n) rows in all their growing.
 */
import type { RowPlan } from '@peft/ops';

/** Free rows that a new room has at least. */
const LEAST_FREE = 32;

interface Room {
  start: number;
  length: number;
  capacity: number;
}

/** What has to be done to the matrix; nothing where it is undefined. */
export type RoomPlan = Omit<RowPlan, 'additions'> & {
  /** Where the new rows of each sequence go, in the order that they were asked for. */
  readonly targets: readonly number[];
};

/** Rooms of sequences in a matrix. */
export class RowRooms {
  #rooms: Room[] = [];
  #size = 0;

  /** Rows of the matrix. */
  get size(): number {
    return this.#size;
  }

  /** Rows of each sequence `[B]`. */
  get lengths(): Int32Array {
    return Int32Array.from(this.#rooms, ({ length }) => length);
  }

  /** Where each sequence begins `[B]`. */
  get starts(): Int32Array {
    return Int32Array.from(this.#rooms, ({ start }) => start);
  }

  /** So many rows more for each sequence. */
  grow(more: readonly number[]): RoomPlan {
    const before = this.#rooms.map((room) => ({ ...room }));
    const moves: number[] = [];
    for (const [b, room] of this.#rooms.entries()) {
      const length = room.length + more[b]!;
      if (
        length > room.capacity &&
        !this.#widen(room, length) &&
        !this.#relocate(room, length, moves)
      )
        return this.#renew(before, more);
      room.length = length;
    }
    return this.#plan(moves, before);
  }

  /** New sequences of these lengths behind the others. */
  add(lengths: readonly number[]): RoomPlan {
    const before = this.#rooms.map((room) => ({ ...room }));
    for (const length of lengths) {
      const gap = this.#gap(length + 1, roomFor(length));
      if (!gap)
        return this.#renew(
          [...before, ...lengths.map(empty)],
          [...before.map(() => 0), ...lengths],
          before.length,
        );
      this.#rooms.push({ ...gap, length });
    }
    return {
      size: this.#size,
      isInPlace: true,
      moves: new Int32Array(0),
      targets: this.#rooms.slice(before.length).map(({ start }) => start),
    };
  }

  /** Goes on with these sequences in this order; one may repeat and is then copied. */
  keep(sequences: ArrayLike<number>): RoomPlan {
    const before = this.#rooms;
    const chosen = Array.from(sequences);
    const seen = new Set<number>();
    const firsts = chosen.map((b) => !seen.has(b) && Boolean(seen.add(b)));
    // a sequence that goes on for the first time stays where it is
    this.#rooms = chosen.map((b, i) => (firsts[i] ? { ...before[b]! } : empty()));
    const moves: number[] = [];
    for (const [i, b] of chosen.entries()) {
      if (firsts[i]) continue;
      const { start, length } = before[b]!;
      const gap = this.#gap(length + 1, roomFor(length));
      if (!gap)
        return this.#renew(
          chosen.map((from) => before[from]!),
          chosen.map(() => 0),
        );
      moves.push(start, gap.start, length);
      this.#rooms[i] = { ...gap, length };
    }
    const needed = this.#rooms.reduce((sum, { length }) => sum + roomFor(length), 0);
    if (2 * needed < this.#size)
      return this.#renew(
        chosen.map((b) => before[b]!),
        chosen.map(() => 0),
      );
    return this.#plan(moves, this.#rooms);
  }

  /** A matrix of other size, rooms of their own for all: `from` are the rows that go on. */
  #renew(from: readonly Room[], more: readonly number[], firstNew = 0): RoomPlan {
    const moves: number[] = [];
    const targets: number[] = [];
    let start = 0;
    this.#rooms = from.map(({ start: old, length: had }, b) => {
      const length = had + more[b]!;
      if (had > 0) moves.push(old, start, had);
      if (b >= firstNew) targets.push(start + had);
      const room = { start, length, capacity: roomFor(length) };
      start += room.capacity;
      return room;
    });
    this.#size = start;
    return { size: start, isInPlace: false, moves: Int32Array.from(moves), targets };
  }

  #plan(moves: readonly number[], before: readonly Room[]): RoomPlan {
    return {
      size: this.#size,
      isInPlace: true,
      moves: Int32Array.from(moves),
      targets: this.#rooms.map(({ start }, b) => start + before[b]!.length),
    };
  }

  /** Into the free rows behind it, as far as they are wanted. @returns whether there are enough */
  #widen(room: Room, length: number): boolean {
    const next = this.#rooms
      .filter(({ start, capacity }) => capacity > 0 && start > room.start)
      .reduce((least, { start }) => Math.min(least, start), this.#size);
    if (next - room.start < length) return false;
    room.capacity = Math.min(next - room.start, roomFor(length));
    return true;
  }

  #relocate(room: Room, length: number, moves: number[]): boolean {
    const gap = this.#gap(length, roomFor(length));
    if (!gap) return false;
    moves.push(room.start, gap.start, room.length);
    room.start = gap.start;
    room.capacity = gap.capacity;
    return true;
  }

  /** The first gap of `least` rows, `wanted` of them taken where there are so many. */
  #gap(least: number, wanted: number): Omit<Room, 'length'> | undefined {
    let start = 0;
    const taken = this.#rooms
      .filter(({ capacity }) => capacity > 0)
      .sort((a, b) => a.start - b.start);
    for (const room of [...taken, { start: this.#size, capacity: 0 }]) {
      const free = room.start - start;
      if (free >= least) return { start, capacity: Math.min(free, wanted) };
      start = room.start + room.capacity;
    }
    return undefined;
  }
}

/** Rows of a new room for so many. */
export const roomFor = (length: number): number => length + Math.max(LEAST_FREE, length >> 1);

const empty = (): Room => ({ start: 0, length: 0, capacity: 0 });
