/**
 * Aligned buffers for tensors, reused without zeroing, so that a training loop neither allocates nor collects garbage.
 *
 * Sizes are rounded up to eight steps an octave (at most 12.5 % over). A freed buffer serves any request that fills at least
 * two thirds of it. Buffers at rest are let go when living and resting ones together exceed the highest living total so far.
 */
const SMALLEST_BYTES = 256;

export interface BufferPoolUsage { readonly livingBytes: number; readonly restingBytes: number; readonly peakLivingBytes: number }

export class BufferPool {
  /** Resting buffers by size class. */
  readonly #resting = new Map<number, ArrayBuffer[]>();
  readonly #owned = new WeakSet<ArrayBuffer>();
  #livingBytes = 0;
  #restingBytes = 0;
  #peakLivingBytes = 0;

  /** @param allocate makes fresh aligned memory. */
  constructor(private readonly allocate: (byteLength: number) => ArrayBuffer) {}

  get usage(): BufferPoolUsage {
    return { livingBytes: this.#livingBytes, restingBytes: this.#restingBytes, peakLivingBytes: this.#peakLivingBytes };
  }

  /** An array of `length` elements with whatever was in memory. */
  take(length: number): Float32Array {
    const size = sizeClass(length * 4);
    const buffer = this.#reuse(size) ?? this.#fresh(size);
    this.#livingBytes += buffer.byteLength;
    this.#peakLivingBytes = Math.max(this.#peakLivingBytes, this.#livingBytes);
    return new Float32Array(buffer, 0, length);
  }

  owns(array: { readonly buffer: ArrayBufferLike }): boolean {
    return this.#owned.has(array.buffer as ArrayBuffer);
  }

  /** Gives an array of {@link take} back. Nothing may read it afterwards. */
  give(array: Float32Array): void {
    const buffer = array.buffer as ArrayBuffer;
    const list = this.#resting.get(buffer.byteLength);
    if (list) list.push(buffer);
    else this.#resting.set(buffer.byteLength, [buffer]);
    this.#livingBytes -= buffer.byteLength;
    this.#restingBytes += buffer.byteLength;
  }

  /** Lets every resting buffer go. */
  clear(): void {
    this.#resting.clear();
    this.#restingBytes = 0;
  }

  #reuse(size: number): ArrayBuffer | undefined {
    for (let candidate = size; candidate <= size * 1.5; candidate = sizeClass(candidate + 1)) {
      const found = this.#resting.get(candidate)?.pop();
      if (found) {
        this.#restingBytes -= found.byteLength;
        return found;
      }
    }
    return undefined;
  }

  #fresh(size: number): ArrayBuffer {
    if (this.#restingBytes > 0 && this.#livingBytes + this.#restingBytes + size > this.#peakLivingBytes) this.#letGo(size);
    const buffer = this.allocate(size);
    this.#owned.add(buffer);
    return buffer;
  }

  /** Lets resting buffers go, largest first, until `bytes` are freed. */
  #letGo(bytes: number): void {
    let freed = 0;
    for (const size of [...this.#resting.keys()].sort((a, b) => b - a)) {
      const list = this.#resting.get(size)!;
      while (list.length > 0 && freed < bytes) {
        list.pop();
        freed += size;
      }
      if (list.length === 0) this.#resting.delete(size);
      if (freed >= bytes) break;
    }
    this.#restingBytes -= freed;
  }
}

/** The next multiple of an eighth of the power of two below. */
function sizeClass(bytes: number): number {
  if (bytes <= SMALLEST_BYTES) return SMALLEST_BYTES;
  const step = 2 ** Math.max(Math.floor(Math.log2(bytes - 1)) - 3, 6);
  return Math.ceil(bytes / step) * step;
}
