import { expect, it } from 'vitest';
import { eachRange } from '@peft/ops';
import { roomFor, RowRooms, type RoomPlan } from './row-rooms.js';

/** A matrix whose rows are [sequence's name, place in it], as plans leave it. */
class Rows {
  matrix: (string | undefined)[] = [];
  moved = 0;

  lay({ size, isInPlace, moves, targets }: RoomPlan, added: readonly (readonly string[])[]): void {
    const from = isInPlace ? this.matrix : [...this.matrix];
    const to = isInPlace ? this.matrix : new Array<string | undefined>(size);
    expect(to).toHaveLength(size);
    eachRange(moves, (start, target, count) => {
      to.splice(target, count, ...from.slice(start, start + count));
      this.moved += count;
    });
    added.forEach((rows, b) => to.splice(targets[b]!, rows.length, ...rows));
    this.matrix = to;
  }
}

/** Rooms, their rows, and what each sequence has to be. */
function growing() {
  const [rooms, rows] = [new RowRooms(), new Rows()];
  let texts: string[][] = [];
  const own = (name: string, from: number, count: number): string[] =>
    Array.from({ length: count }, (_, n) => `${name}${from + n}`);
  const check = (): void => {
    const [starts, lengths] = [rooms.starts, rooms.lengths];
    expect(rows.matrix).toHaveLength(rooms.size);
    expect(texts.map((_, b) => rows.matrix.slice(starts[b], starts[b]! + lengths[b]!))).toEqual(
      texts,
    );
  };
  let names = 0;
  return {
    rooms,
    rows,
    add(...lengths: number[]): void {
      const fresh = lengths.map((length) => own(`${(names += 1)}:`, 0, length));
      rows.lay(rooms.add(lengths), fresh);
      texts.push(...fresh.map((text) => [...text]));
      check();
    },
    grow(more: (b: number) => number, isChecked = true): void {
      const fresh = texts.map((text, b) => own(text[0]!.replace(/\d+$/, ''), text.length, more(b)));
      rows.lay(rooms.grow(fresh.map(({ length }) => length)), fresh);
      texts.forEach((text, b) => text.push(...fresh[b]!));
      if (isChecked) check();
    },
    keep(...sequences: number[]): void {
      rows.lay(rooms.keep(sequences), []);
      texts = sequences.map((b) => [...texts[b]!]);
      check();
    },
    get count(): number {
      return texts.length;
    },
  };
}

it('a token moves less than four rows, whatever the number of sequences', () => {
  for (const sequences of [1, 8, 32]) {
    const cache = growing();
    cache.add(...Array.from({ length: sequences }, (_, b) => 20 + b));
    for (let step = 0; step < 500; step += 1) cache.grow(() => 1, step % 100 === 0);
    expect(cache.rows.moved / (500 * sequences)).toBeLessThan(4);
  }
});

it('a sequence that leaves moves none, and its room serves the next', () => {
  const cache = growing();
  cache.add(100, 50, 100);
  const [size, { moved }] = [cache.rooms.size, cache.rows];
  cache.keep(0, 2);
  cache.add(40);
  expect([cache.rooms.size, cache.rows.moved]).toEqual([size, moved]);
});

it('a sequence that goes on twice is copied once, into the room of one that ended', () => {
  const cache = growing();
  cache.add(100, 100, 100);
  cache.keep(2, 0, 0);
  expect(cache.rows.moved).toBe(100);
  cache.grow((b) => b);
});

it('gives room back when few sequences are left', () => {
  const cache = growing();
  cache.add(...new Array<number>(8).fill(100));
  cache.keep(5);
  expect(cache.rooms.size).toBe(roomFor(100));
});

it('keeps every row through any coming, growing and going', () => {
  let state = 7;
  const random = (below: number): number => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
  const cache = growing();
  for (let step = 0; step < 600; step += 1) {
    const kind = random(10);
    if (cache.count === 0 || kind === 0)
      cache.add(...Array.from({ length: 1 + random(3) }, () => 1 + random(90)));
    else if (kind === 1)
      cache.keep(...Array.from({ length: random(cache.count + 2) }, () => random(cache.count)));
    else cache.grow((b) => 1 + ((b * step) % 5));
  }
});
