/**
 * Aligned buffers for tensors, reused without zeroing, so that a training loop neither allocates nor collects garbage.
 *
 * A buffer's address range is rounded up generously (large ones to a power of two), so that batches of other lengths find one
 * that fits; only what a tensor touches takes memory. Resting buffers give their memory back when living and resting ones together
 * exceed the highest living total so far.
 */
const SMALLEST_BYTES = 256;
/** From here on sizes are powers of two and memory comes page by page. */
const PAGED_FROM_BYTES = 2 ** 20;

export interface BufferPoolUsage { readonly livingBytes: number; readonly restingBytes: number; readonly peakLivingBytes: number }

/** What the pool needs of the addon. */
export interface BufferSource {
  allocate(byteLength: number): ArrayBuffer;
  discard(buffer: ArrayBuffer): void;
}

interface Block {
  readonly buffer: ArrayBuffer;
  /** Bytes that hold memory: the most that any tensor used of it. */
  touchedBytes: number;
  /** Bytes of the tensor that has it. */
  usedBytes: number;
}

export class BufferPool {
  /** Resting blocks by size. */
  readonly #resting = new Map<number, Block[]>();
  readonly #blocks = new WeakMap<ArrayBufferLike, Block>();
  #livingBytes = 0;
  #restingBytes = 0;
  #peakLivingBytes = 0;

  constructor(private readonly source: BufferSource) {}

  get usage(): BufferPoolUsage {
    return { livingBytes: this.#livingBytes, restingBytes: this.#restingBytes, peakLivingBytes: this.#peakLivingBytes };
  }

  /** Starts the peak anew from what lives now. */
  resetPeak(): void {
    this.#peakLivingBytes = this.#livingBytes;
  }

  /** An array of `length` elements with whatever was in memory. */
  take(length: number): Float32Array {
    const bytes = length * 4;
    const size = blockSize(bytes);
    const block = this.#reuse(size) ?? this.#fresh(size, bytes);
    block.usedBytes = bytes;
    block.touchedBytes = Math.max(block.touchedBytes, bytes);
    this.#livingBytes += bytes;
    this.#peakLivingBytes = Math.max(this.#peakLivingBytes, this.#livingBytes);
    return new Float32Array(block.buffer, 0, length);
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

  /** Lets every resting block go. */
  clear(): void {
    this.#letGo(this.#restingBytes);
    this.#resting.clear();
  }

  #reuse(size: number): Block | undefined {
    const found = this.#resting.get(size)?.pop();
    if (found) this.#restingBytes -= found.touchedBytes;
    return found;
  }

  #fresh(size: number, bytes: number): Block {
    const excess = this.#livingBytes + this.#restingBytes + bytes - this.#peakLivingBytes;
    if (excess > 0) this.#letGo(Math.min(excess, this.#restingBytes));
    const block: Block = { buffer: this.source.allocate(size), touchedBytes: 0, usedBytes: 0 };
    this.#blocks.set(block.buffer, block);
    return block;
  }

  /** Gives `bytes` of resting memory back to the system, largest blocks first. The addresses go when they are collected. */
  #letGo(bytes: number): void {
    let freed = 0;
    for (const size of [...this.#resting.keys()].sort((a, b) => b - a)) {
      const list = this.#resting.get(size)!;
      while (list.length > 0 && freed < bytes) {
        const block = list.pop()!;
        this.source.discard(block.buffer);
        freed += block.touchedBytes;
      }
      if (list.length === 0) this.#resting.delete(size);
      if (freed >= bytes) break;
    }
    this.#restingBytes -= freed;
  }
}

/** Small sizes: the next multiple of an eighth of the power of two below. Large ones: the next power of two. */
function blockSize(bytes: number): number {
  if (bytes <= SMALLEST_BYTES) return SMALLEST_BYTES;
  if (bytes >= PAGED_FROM_BYTES) return 2 ** Math.ceil(Math.log2(bytes));
  const step = 2 ** Math.max(Math.floor(Math.log2(bytes - 1)) - 3, 6);
  return Math.ceil(bytes / step) * step;
}
