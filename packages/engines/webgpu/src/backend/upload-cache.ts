/**
 * Arrays of whole numbers that kernels are called with (offsets, labels, positions), on the device.
 * Every layer of a model asks with the same ones: an array with the values of one that is there
 * already is not uploaded again.
 */
import type { Block, BufferPool } from '../gpu/buffer-pool.js';
import type { CommandStream } from '../gpu/command-stream.js';

const MOST_ARRAYS = 64;
const MOST_BYTES = 2 ** 24;

interface Kept {
  readonly values: Int32Array;
  readonly block: Block;
}

export class UploadCache {
  /** The one used last at the end. */
  #kept: Kept[] = [];
  #bytes = 0;

  constructor(
    private readonly pool: BufferPool,
    private readonly stream: CommandStream,
  ) {}

  /** A block with the values, which the caller may use until it asks for {@link MOST_ARRAYS} others. */
  of(values: Int32Array): Block {
    const at = this.#kept.findLastIndex((kept) => isEqual(kept.values, values));
    const found = at < 0 ? this.#upload(values) : this.#kept.splice(at, 1)[0]!;
    this.#kept.push(found);
    return found.block;
  }

  clear(): void {
    for (const kept of this.#kept) this.pool.give(kept.block);
    this.#kept = [];
    this.#bytes = 0;
  }

  #upload(values: Int32Array): Kept {
    const block = this.pool.take(4 * values.length);
    this.stream.upload(block, values);
    this.#bytes += block.byteLength;
    while (
      this.#kept.length > 0 &&
      (this.#kept.length >= MOST_ARRAYS || this.#bytes > MOST_BYTES)
    ) {
      const { block: oldest } = this.#kept.shift()!;
      this.#bytes -= oldest.byteLength;
      this.pool.give(oldest);
    }
    return { values: values.slice(), block };
  }
}

function isEqual(a: Int32Array, b: Int32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false;
  return true;
}
