/** Takes a model's weights apart for its ranks while they are read, block by block. */
import { hasDeviceMemory, type Engine } from '@peft/ops';
import { PeftError } from '@peft/errors';
import type { Collective } from '../../app/collective.js';
import type { ModelDescription } from '../../description/model-description.js';
import { blocksOfParameters } from '../stage/stage-parameters.js';
import { whyNotCut } from '../stage/stage.js';
import type { BytesForm, SharedBytes } from './shared-bytes.js';
import { ShardedBlocks, type BlockShard } from './sharded-blocks.js';
import { shardedEngine, ShardedWeight } from './sharded-weight.js';

/**
 * Names of the matrices that ranks share, and the block of each: those of blocks. Tables, output
 * layers and small tensors are everywhere.
 */
export function sharedMatrices(description: ModelDescription): ReadonlyMap<string, number> {
  const blockOf = blocksOfParameters(description);
  const { parameters } = description;
  return new Map(
    parameters.flatMap(({ name, use }) => {
      const block = blockOf.get(name);
      return use === 'matrix' && block !== undefined ? [[name, block] as const] : [];
    }),
  );
}

/**
 * That a model's frozen matrices can be shared among ranks, which gather them block by block.
 * @param engine that holds them, where it is known
 * @throws PEFT_SHARDS_UNSUPPORTED
 */
export function requireShards(
  description: ModelDescription,
  engine?: Pick<Engine, 'name' | 'backendName'>,
): void {
  const why =
    engine && hasDeviceMemory(engine)
      ? `the engine ${engine.name} keeps weights in the memory of a device`
      : whyNotCut(description);
  if (why === undefined) return;
  throw new PeftError(
    'PEFT_SHARDS_UNSUPPORTED',
    `${description.modelType}: ranks cannot share its frozen weights block by block: ${why}.`,
    { hint: 'leave out --shard-base; ranks can share its steps without' },
  );
}

/** What has been read of a block. */
interface PartialBlock {
  readonly weights: { weight: ShardedWeight; form: BytesForm; start: number }[];
  readonly parts: Uint8Array[];
  byteLength: number;
  /** Matrices that are still to come. */
  missing: number;
}

/** A model's shared matrices as they are loaded: each block is cut when it is complete. */
export class ShardLoading {
  readonly #blockOf: ReadonlyMap<string, number>;
  readonly #partial = new Map<number, PartialBlock>();
  readonly #shards = new Map<number, BlockShard>();
  readonly #engine: Engine;
  readonly #blocks: number;

  constructor(
    description: ModelDescription,
    private readonly engine: Engine,
    private readonly ranks: Collective,
  ) {
    requireShards(description, engine);
    this.#blockOf = sharedMatrices(description);
    this.#engine = shardedEngine(engine);
    this.#blocks = description.layers.encoder + description.layers.decoder;
    for (const block of this.#blockOf.values()) {
      const partial = this.#partial.get(block) ?? newBlock();
      partial.missing += 1;
      this.#partial.set(block, partial);
    }
  }

  isShared(name: string): boolean {
    return this.#blockOf.has(name);
  }

  /** @returns the weight that stands for it */
  add(name: string, { bytes, form }: SharedBytes): ShardedWeight {
    const { size } = this.ranks;
    const weight = new ShardedWeight(
      this.#engine,
      name,
      form.shape,
      form.format,
      Math.ceil(bytes.length / size),
      size,
    );
    const block = this.#blockOf.get(name)!;
    const partial = this.#partial.get(block)!;
    partial.weights.push({ weight, form, start: partial.byteLength });
    partial.parts.push(bytes);
    // the next one begins where any number may
    partial.byteLength += Math.ceil(bytes.length / 8) * 8;
    partial.missing -= 1;
    if (partial.missing === 0) {
      this.#shards.set(block, this.#cut(partial));
      this.#partial.delete(block);
    }
    return weight;
  }

  finish(): ShardedBlocks {
    return new ShardedBlocks(this.ranks, this.engine, this.#blocks, this.#shards);
  }

  /** This rank's part of the block. */
  #cut({ weights, parts, byteLength }: PartialBlock): BlockShard {
    const { rank, size } = this.ranks;
    const length = Math.ceil(byteLength / size);
    const own = new Uint8Array(length);
    const [first, end] = [rank * length, (rank + 1) * length];
    for (const [i, part] of parts.entries()) {
      const { start } = weights[i]!;
      const from = Math.max(first, start);
      const to = Math.min(end, start + part.length);
      if (from < to) own.set(part.subarray(from - start, to - start), from - first);
    }
    return { own, weights };
  }
}

const newBlock = (): PartialBlock => ({ weights: [], parts: [], byteLength: 0, missing: 0 });
