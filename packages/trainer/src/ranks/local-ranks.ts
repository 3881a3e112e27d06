/** Ranks within one process, for tests: they take turns on its one thread. */
import type { Collective, RankNumbers, Reduction } from '@peft/core';
import { PeftError } from '@peft/errors';

/** Who waits for an operation to end. */
interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** What a rank brings to an operation of all, and where the result goes. */
interface Part {
  readonly values: RankNumbers;
  readonly into: RankNumbers;
  readonly waiter: Waiter;
}

/** An operation that waits until every rank has called it. */
interface Meeting {
  readonly name: string;
  readonly parts: Map<number, Part>;
}

/** Values on their way from one rank to another. */
interface Post {
  readonly sent: RankNumbers[];
  readonly wanted: Pick<Part, 'into' | 'waiter'>[];
}

const REDUCTIONS: Readonly<Record<Reduction, (a: number, b: number) => number>> = {
  sum: (a, b) => a + b,
  max: Math.max,
  min: Math.min,
};

/**
 * Runs the same work as `size` ranks and waits for all. When one fails, what the others wait for
 * fails with PEFT_RANK_LOST.
 * @returns what each rank gave.
 * @throws what the first rank that failed threw; PEFT_RANKS_DIFFER when ranks call different
 *   operations
 */
export async function runLocalRanks<T>(
  size: number,
  work: (collective: Collective) => Promise<T>,
): Promise<T[]> {
  const group = new LocalGroup(size);
  let first: { readonly error: unknown } | undefined;
  const ended = await Promise.allSettled(
    Array.from({ length: size }, async (_, rank) => {
      try {
        return await work(group.member(rank));
      } catch (error) {
        first ??= { error };
        group.lose(rank);
        throw error;
      }
    }),
  );
  if (first) throw first.error;
  return ended.map((result) => (result as PromiseFulfilledResult<T>).value);
}

class LocalGroup {
  readonly #size: number;
  #lost: Error | undefined;
  /** By the number of operations that a rank had called before. */
  readonly #meetings = new Map<number, Meeting>();
  readonly #called: number[];
  readonly #posts = new Map<string, Post>();
  readonly #waiters = new Set<Waiter>();

  constructor(size: number) {
    this.#size = size;
    this.#called = new Array<number>(size).fill(0);
  }

  /** What anybody waits for fails. */
  lose(rank: number): void {
    this.#lost ??= new PeftError('PEFT_RANK_LOST', `ranks: rank ${rank} has ended.`);
    for (const { reject } of this.#waiters) reject(this.#lost);
  }

  member(rank: number): Collective {
    const size = this.#size;
    const nothing = new Uint8Array();
    return {
      rank,
      size,
      localRank: rank,
      localSize: size,
      barrier: () => this.#meet(rank, 'barrier', nothing, nothing, () => []),
      broadcast: (values, root = 0) =>
        this.#meet(rank, `broadcast from ${root}`, values, values, (all) => all[root]!),
      allReduce: (values, reduction) =>
        this.#meet(rank, `all-reduce (${reduction})`, values, values, (all) =>
          reduced(all, reduction),
        ),
      allGather: (own, all) =>
        this.#meet(rank, 'all-gather', own, all, (parts) => parts.flatMap((part) => [...part])),
      reduceScatter: (values, own, reduction) =>
        this.#meet(rank, `reduce-scatter (${reduction})`, values, own, (all, member) =>
          reduced(all, reduction).subarray(member * own.length, (member + 1) * own.length),
        ),
      send: (values, to, channel = 0) => {
        if (this.#lost) return Promise.reject(this.#lost);
        const post = this.#postOf(rank, to, channel);
        post.sent.push(values.slice());
        deliver(post);
        return Promise.resolve();
      },
      receive: (into, from, channel = 0) =>
        this.#wait((waiter) => {
          const post = this.#postOf(from, rank, channel);
          post.wanted.push({ into, waiter });
          deliver(post);
        }),
      abort: () => this.lose(rank),
    };
  }

  /** The last rank that comes gives each `into` what `made` makes of all values. */
  #meet(
    rank: number,
    name: string,
    values: RankNumbers,
    into: RankNumbers,
    made: (all: readonly RankNumbers[], rank: number) => ArrayLike<number>,
  ): Promise<void> {
    return this.#wait((waiter) => {
      const number = this.#called[rank]!++;
      const meeting = this.#meetings.get(number) ?? { name, parts: new Map<number, Part>() };
      this.#meetings.set(number, meeting);
      if (meeting.name !== name) {
        waiter.reject(callsDiffer(rank, name, meeting.name));
        return;
      }
      meeting.parts.set(rank, { values: values.slice(), into, waiter });
      if (meeting.parts.size < this.#size) return;
      this.#meetings.delete(number);
      const parts = Array.from({ length: this.#size }, (_, member) => meeting.parts.get(member)!);
      const all = parts.map((part) => part.values);
      parts.forEach((part, member) => part.into.set(made(all, member)));
      for (const part of parts) part.waiter.resolve();
    });
  }

  #wait(begin: (waiter: Waiter) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#lost) {
        reject(this.#lost);
        return;
      }
      const waiter: Waiter = {
        resolve: () => {
          this.#waiters.delete(waiter);
          resolve();
        },
        reject: (error) => {
          this.#waiters.delete(waiter);
          reject(error);
        },
      };
      this.#waiters.add(waiter);
      begin(waiter);
    });
  }

  #postOf(from: number, to: number, channel: number): Post {
    const key = `${from} to ${to} on ${channel}`;
    const post = this.#posts.get(key) ?? { sent: [], wanted: [] };
    this.#posts.set(key, post);
    return post;
  }
}

function deliver({ sent, wanted }: Post): void {
  while (sent.length > 0 && wanted.length > 0) {
    const { into, waiter } = wanted.shift()!;
    into.set(sent.shift()!);
    waiter.resolve();
  }
}

/** Elementwise, in the order of the ranks. */
const reduced = (all: readonly RankNumbers[], reduction: Reduction): RankNumbers =>
  all.reduce((sum, values) => sum.map((value, i) => REDUCTIONS[reduction](value, values[i]!)));

const callsDiffer = (rank: number, name: string, others: string): PeftError =>
  new PeftError(
    'PEFT_RANKS_DIFFER',
    `ranks: rank ${rank} calls ${name} where others call ${others}.`,
  );
