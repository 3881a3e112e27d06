/**
 * The processes that compute one thing together, as MPI has them: each has a number, its rank, and
 * all of them call the same operations in the same order.
 */

/** Numbers that ranks exchange. */
export type RankNumbers = Float32Array | Float64Array | Int32Array | Uint8Array;

/** How the numbers of all ranks become one. */
export type Reduction = 'sum' | 'max' | 'min';

/**
 * The seam to the other ranks. Operations work on the memory that they are given, which must be
 * left alone until their promise is settled; several may be under way at once.
 */
export interface Collective {
  /** From 0. */
  readonly rank: number;
  /** How many ranks there are. */
  readonly size: number;
  /** Number of this rank among those of its machine. */
  readonly localRank: number;
  /** How many ranks this machine has. */
  readonly localSize: number;
  /** Resolves when all ranks have come here. */
  barrier(): Promise<void>;
  /** Gives all ranks the values that `root` has. */
  broadcast(values: RankNumbers, root?: number): Promise<void>;
  /**
   * Gives all ranks the elementwise sum, maximum or minimum. The order of a sum is the transport's.
   */
  allReduce(values: RankNumbers, reduction: Reduction): Promise<void>;
  /** `all` `[size · own.length]` gets the values of each rank, in their order. */
  allGather(own: RankNumbers, all: RankNumbers): Promise<void>;
  /**
   * `own` gets this rank's part of the elementwise sum, maximum or minimum of `values`
   * `[size · own.length]`.
   */
  reduceScatter(values: RankNumbers, own: RankNumbers, reduction: Reduction): Promise<void>;
  /**
   * Two messages from one rank to another arrive in their order.
   * @param channel a number from 0 to 32767, default 0: messages of one know nothing of another's
   */
  send(values: RankNumbers, to: number, channel?: number): Promise<void>;
  /** `values` must be as long as what is sent on the channel. */
  receive(values: RankNumbers, from: number, channel?: number): Promise<void>;
  /** Ends all ranks, this one too. */
  abort(exitCode: number): void;
}

const done = (): Promise<void> => Promise.resolve();
const noOther = (): Promise<void> =>
  Promise.reject(new RangeError('a single rank has nobody to send to or receive from'));

/** One rank alone: there is nothing to exchange. */
export const SINGLE_RANK: Collective = Object.freeze<Collective>({
  rank: 0,
  size: 1,
  localRank: 0,
  localSize: 1,
  barrier: done,
  broadcast: done,
  allReduce: done,
  allGather: (own, all) => {
    all.set(own);
    return done();
  },
  reduceScatter: (values, own) => {
    own.set(values);
    return done();
  },
  send: noOther,
  receive: noOther,
  abort: (exitCode) => process.exit(exitCode),
});
