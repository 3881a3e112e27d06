/**
 * Blocks whose frozen matrices lie in parts on all ranks: each keeps 1/N of a block's bytes and has
 * the rest while the block computes (ZeRO stage 3 of the frozen weights alone, Rajbhandari et al.
 * 2020, section 5.3).
 */
import type { Engine } from '@peft/ops';
import type { Collective } from '../../app/collective.js';
import type { Stage } from '../stage/stage.js';
import type { BytesForm } from './shared-bytes.js';
import type { ShardedWeight } from './sharded-weight.js';

/** A block as this rank has it. */
export interface BlockShard {
  /** This rank's part of the block's bytes, as long as that of any other. */
  readonly own: Uint8Array;
  readonly weights: readonly {
    readonly weight: ShardedWeight;
    readonly form: BytesForm;
    /** Within the whole block. */
    readonly start: number;
  }[];
}

/** The frozen matrices of a model's blocks, shared among ranks, which call all of this alike. */
export class ShardedBlocks {
  /** One block computes while the next arrives. */
  readonly #buffers: [Uint8Array, Uint8Array];
  #turn = 0;

  /**
   * @param engine whose weights the gathered ones are
   * @param shards by the number of the block; a block without matrices has none
   */
  constructor(
    readonly collective: Collective,
    private readonly engine: Engine,
    readonly blocks: number,
    private readonly shards: ReadonlyMap<number, BlockShard>,
  ) {
    const longest = Math.max(0, ...[...shards.values()].map(({ own }) => own.length));
    const buffer = (): Uint8Array => new Uint8Array(longest * collective.size);
    this.#buffers = [buffer(), buffer()];
  }

  /** A forward pass of one block alone. */
  windowOf(block: number): Stage {
    return { first: block, end: block + 1, blocks: this.blocks };
  }

  /**
   * Does work with one block after the other: its bytes are gathered while the one before is worked
   * with, and given up afterwards.
   * @param order the same on all ranks, also on one that has nothing to do. A block that follows
   *   itself stays.
   */
  async inOrder(
    order: readonly number[],
    work: (block: number) => Promise<void> | void,
  ): Promise<void> {
    const stops = order.filter((block, i) => block !== order[i - 1]);
    let next = 0;
    let arriving = this.#gather(stops[next]);
    let present: BlockShard | undefined;
    try {
      for (const [i, block] of order.entries()) {
        if (block !== order[i - 1]) {
          const bytes = await arriving;
          present = this.#hold(block, bytes);
          next += 1;
          arriving = this.#gather(stops[next]);
        }
        await work(block);
        if (block !== order[i + 1]) present = release(present);
      }
    } finally {
      release(present);
    }
  }

  /** Begins to gather. @returns the block's bytes, until the one after the next is gathered */
  #gather(block: number | undefined): Promise<Uint8Array> {
    const shard = block === undefined ? undefined : this.shards.get(block);
    if (!shard) return Promise.resolve(new Uint8Array());
    const { own } = shard;
    this.#turn = 1 - this.#turn;
    const bytes = this.#buffers[this.#turn]!.subarray(0, own.length * this.collective.size);
    const gathered = this.collective.allGather(own, bytes).then(() => bytes);
    gathered.catch(() => undefined); // it is waited for after the work that is under way
    return gathered;
  }

  #hold(block: number, bytes: Uint8Array): BlockShard | undefined {
    const shard = this.shards.get(block);
    for (const { weight, form, start } of shard?.weights ?? [])
      weight.hold(form.freeze(bytes.subarray(start, start + form.byteLength), this.engine));
    return shard;
  }
}

function release(shard: BlockShard | undefined): undefined {
  for (const { weight } of shard?.weights ?? []) weight.release();
}
