/**
 * Aligned buffers for tensors, reused without zeroing, so that a training loop neither allocates
 * nor collects garbage.
 *
 * A buffer's address range is rounded up generously (large ones to a power of two), so that batches
 * of other lengths find one that fits; only what a tensor touches takes memory. Resting buffers
 * give their memory back, and keep their addresses, when living and resting ones together exceed
 * the highest living total so far by a sixteenth: without that margin the sizes that a forward and
 * a backward pass want in turn would push each other out in every step.
 */
const SMALLEST_BYTES = 256;
/** From here on sizes are powers of two and memory comes page by page. */
const PAGED_FROM_BYTES = 2 ** 16;
/** Resting memory beyond the highest living total, as a share of that. */
const MARGIN = 1 / 16;
/**
 * Resting memory of small blocks that is kept in any case: what batches of other lengths leave
 * behind would else be made anew each time.
 */
const SMALL_REST_BYTES = 2 ** 26;

/** What the buffers of a pool take. */
export interface BufferPoolUsage {
  /** Of tensors. */
  readonly livingBytes: number;
  /** Held for later tensors. */
  readonly restingBytes: number;
  readonly peakLivingBytes: number;
}

/** What the pool needs of the addon. */
export interface BufferSource {
  /** `usedBytes` of it will be used at first. */
  allocate(byteLength: number, usedBytes: number): ArrayBuffer;
  discard(buffer: ArrayBuffer): void;
}

interface Block {
  readonly buffer: ArrayBuffer;
  /** Bytes that hold memory: the most that any tensor used of it. */
  touchedBytes: number;
  /** Bytes of the tensor that has it. */
  usedBytes: number;
}

/** Buffers by size, taken for tensors and given back. */
export class BufferPool {
  /** Resting blocks by size. */
  readonly #resting = new Map<number, Block[]>();
  readonly #blocks = new WeakMap<ArrayBufferLike, Block>();
  #livingBytes = 0;
  #restingBytes = 0;
  #peakLivingBytes = 0;

  constructor(private readonly source: BufferSource) {}

  get usage(): BufferPoolUsage {
    return {
      livingBytes: this.#livingBytes,
      restingBytes: this.#restingBytes,
      peakLivingBytes: this.#peakLivingBytes,
    };
  }

  /** Starts the peak anew from what lives now. */
  resetPeak(): void {
    this.#peakLivingBytes = this.#livingBytes;
  }

  /** An array of `length` elements with whatever was in memory. */
  take(length: number): Float32Array {
    const bytes = length * 4;
    const size = blockSize(bytes);
    const block = this.#resting.get(size)?.pop() ?? this.#fresh(size, bytes);
    this.#restingBytes -= block.touchedBytes;
    if (bytes > block.touchedBytes) this.#makeRoom(bytes);
    block.usedBytes = bytes;
    block.touchedBytes = Math.max(block.touchedBytes, bytes);
    this.#livingBytes += bytes;
    this.#peakLivingBytes = Math.max(this.#peakLivingBytes, this.#livingBytes);
    return new Float32Array(block.buffer, 0, length);
  }

  /** Elements that the buffer of an array of {@link take} was asked for. */
  capacityOf(array: { readonly buffer: ArrayBufferLike }): number {
    return (this.#blocks.get(array.buffer)?.usedBytes ?? 0) / 4;
  }

  owns(array: { readonly buffer: ArrayBufferLike }): boolean {
    return this.#blocks.has(array.buffer);
  }

  /** Gives an array of {@link take} back. Nothing may read it afterwards. */
  give(array: Float32Array): void {
    const block = this.#blocks.get(array.buffer)!;
    const size = block.buffer.byteLength;
    const list = this.#resting.get(size);
    if (list) list.push(block);
    else this.#resting.set(size, [block]);
    this.#livingBytes -= block.usedBytes;
    this.#restingBytes += block.touchedBytes;
  }

  /** Lets every resting block go, its addresses included. */
  clear(): void {
    this.#giveBack(this.#restingBytes);
    this.#resting.clear();
    this.#restingBytes = 0;
  }

  #fresh(size: number, bytes: number): Block {
    const block: Block = {
      buffer: this.source.allocate(size, bytes),
      touchedBytes: 0,
      usedBytes: 0,
    };
    this.#blocks.set(block.buffer, block);
    return block;
  }

  /** Before `bytes` of a block join the living ones. */
  #makeRoom(bytes: number): void {
    const excess =
      this.#livingBytes + this.#restingBytes + bytes - this.#peakLivingBytes * (1 + MARGIN);
    if (excess > 0 && this.#restingBytes > 0) this.#giveBack(excess);
  }

  /**
   * Gives at least `bytes` of resting memory back to the system where there is so much, largest
   * blocks first. Small blocks go with their addresses.
   */
  #giveBack(bytes: number): void {
    let freed = 0;
    for (const size of [...this.#resting.keys()].sort((a, b) => b - a)) {
      if (size < PAGED_FROM_BYTES) {
        const list = this.#resting.get(size)!;
        while (list.length > 0 && freed < bytes - SMALL_REST_BYTES)
          freed += list.shift()!.touchedBytes;
        continue;
      }
      for (const block of this.#resting.get(size)!) {
        // the longest resting one first
        if (freed >= bytes) break;
        if (block.touchedBytes === 0) continue;
        this.source.discard(block.buffer);
        freed += block.touchedBytes;
        block.touchedBytes = 0;
      }
    }
    this.#restingBytes -= freed;
  }
}

/**
 * Small sizes: the next multiple of an eighth of the power of two below. Large ones: the next power
 * of two.
 */
function blockSize(bytes: number): number {
  if (bytes <= SMALLEST_BYTES) return SMALLEST_BYTES;
  if (bytes >= PAGED_FROM_BYTES) return 2 ** Math.ceil(Math.log2(bytes));
  const step = 2 ** Math.max(Math.floor(Math.log2(bytes - 1)) - 3, 6);
  return Math.ceil(bytes / step) * step;
}
