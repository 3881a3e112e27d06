/**
 * Buffers of the device for tensors, used again in the order of their size, so that a training loop
 * makes none.
 *
 * A resting buffer is let go when living and resting bytes exceed the highest living total so far
 * by more than a sixteenth and {@link SMALL_REST_BYTES}, the largest first.
 */
import { BUFFER_USAGE } from './flags.js';
import { memoryError } from './device-failure.js';

const SMALLEST_BYTES = 256;
const MARGIN = 1 / 16;
const SMALL_REST_BYTES = 2 ** 24;

/** Part of the device's memory. */
export interface Block {
  readonly id: number;
  readonly buffer: GPUBuffer;
  readonly byteLength: number;
  /** Of the tensor that has it. */
  usedBytes: number;
  /** The batch of commands that used it last. */
  batch: number;
}

/** What the buffers of a pool take. */
export interface PoolUsage {
  readonly livingBuffers: number;
  /** Of tensors and weights, as they are rounded. */
  readonly livingBytes: number;
  readonly restingBuffers: number;
  readonly restingBytes: number;
  readonly peakLivingBytes: number;
}

export class BufferPool {
  readonly #resting = new Map<number, Block[]>();
  #nextId = 0;
  #livingBuffers = 0;
  #livingBytes = 0;
  #restingBuffers = 0;
  #restingBytes = 0;
  #peakLivingBytes = 0;

  /** @param release is told of a block before its buffer is destroyed. */
  constructor(
    private readonly device: GPUDevice,
    private readonly release: (block: Block) => void,
  ) {}

  get usage(): PoolUsage {
    return {
      livingBuffers: this.#livingBuffers,
      livingBytes: this.#livingBytes,
      restingBuffers: this.#restingBuffers,
      restingBytes: this.#restingBytes,
      peakLivingBytes: this.#peakLivingBytes,
    };
  }

  /** The most bytes that a block can have. */
  get largestBlock(): number {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.device.limits;
    return Math.floor(Math.min(maxBufferSize, maxStorageBufferBindingSize) / 4) * 4;
  }

  /**
   * A block of at least so many bytes, with whatever is in it.
   * @param isLasting it will not be given back soon, and is rounded up as little as can be.
   * @throws PEFT_DEVICE_MEMORY when no buffer of the device can be so large
   */
  take(bytes: number, isLasting = false): Block {
    const most = this.largestBlock;
    if (bytes > most)
      throw memoryError(
        `a tensor of ${bytes} bytes was asked for, and a buffer of it holds ${most} at the most.`,
      );
    const rounded = isLasting
      ? Math.ceil(bytes / SMALLEST_BYTES) * SMALLEST_BYTES
      : blockSize(bytes);
    const size = Math.min(Math.max(rounded, SMALLEST_BYTES), most);
    const resting = this.#resting.get(size)?.pop();
    if (resting) {
      this.#restingBuffers -= 1;
      this.#restingBytes -= size;
    }
    const block = resting ?? this.#fresh(size);
    block.usedBytes = bytes;
    this.#livingBuffers += 1;
    this.#livingBytes += size;
    this.#peakLivingBytes = Math.max(this.#peakLivingBytes, this.#livingBytes);
    return block;
  }

  give(block: Block): void {
    const list = this.#resting.get(block.byteLength);
    if (list) list.push(block);
    else this.#resting.set(block.byteLength, [block]);
    this.#livingBuffers -= 1;
    this.#livingBytes -= block.byteLength;
    this.#restingBuffers += 1;
    this.#restingBytes += block.byteLength;
    this.#letGo(this.#peakLivingBytes * (1 + MARGIN) + SMALL_REST_BYTES);
  }

  /** Destroys every resting buffer. */
  clear(): void {
    this.#letGo(0);
  }

  #fresh(size: number): Block {
    const usage = BUFFER_USAGE.storage | BUFFER_USAGE.copySource | BUFFER_USAGE.copyTarget;
    return {
      id: (this.#nextId += 1),
      buffer: this.device.createBuffer({ size, usage }),
      byteLength: size,
      usedBytes: 0,
      batch: 0,
    };
  }

  #letGo(most: number): void {
    if (this.#restingBytes === 0 || this.#livingBytes + this.#restingBytes <= most) return;
    for (const size of [...this.#resting.keys()].sort((a, b) => b - a)) {
      const list = this.#resting.get(size)!;
      while (list.length > 0 && this.#livingBytes + this.#restingBytes > most) {
        const block = list.shift()!;
        this.#restingBuffers -= 1;
        this.#restingBytes -= size;
        this.release(block);
        block.buffer.destroy();
      }
      if (list.length === 0) this.#resting.delete(size);
    }
  }
}

/** The next multiple of an eighth of the power of two below. */
function blockSize(bytes: number): number {
  if (bytes <= SMALLEST_BYTES) return SMALLEST_BYTES;
  const step = 2 ** Math.max(Math.floor(Math.log2(bytes - 1)) - 3, 6);
  return Math.ceil(bytes / step) * step;
}
