/**
 * A tfjs backend whose tensors have sizes and no values: what lives when a computation runs on it
 * is what would live for real.
 */
import * as tf from '@tensorflow/tfjs';
import type { DataType, TensorInfo } from '@tensorflow/tfjs';

type DataId = TensorInfo['dataId'];
type Values = Float32Array | Int32Array | Uint8Array;

interface Entry {
  readonly elements: number;
  readonly dtype: DataType;
  readonly bytes: number;
  references: number;
}

const BYTES: Partial<Record<DataType, number>> = { float32: 4, int32: 4, bool: 1, complex64: 8 };

/**
 * Reading a tensor gives zeros, the same for every reader: as on tfjs' own CPU backend, what is
 * read is not to be changed.
 */
export class SizingBackend extends tf.KernelBackend {
  readonly #entries = new Map<DataId, Entry>();
  #zeros = new ArrayBuffer(0);
  #livingBytes = 0;
  #peakBytes = 0;
  #operations = 0;

  /** Tensors that operations made since the peak was reset; another shape of the same is none. */
  get operations(): number {
    return this.#operations;
  }

  get livingBytes(): number {
    return this.#livingBytes;
  }

  get peakBytes(): number {
    return this.#peakBytes;
  }

  /** Starts the peak anew from what lives now, and lets go of the zeros that were read. */
  resetPeak(): void {
    this.#peakBytes = this.#livingBytes;
    this.#operations = 0;
    this.#zeros = new ArrayBuffer(0);
  }

  /** A new tensor of that size. */
  create(shape: readonly number[], dtype: DataType = 'float32'): TensorInfo {
    const dataId = {};
    this.#operations += 1;
    this.#keep(dataId, shape, dtype, 1);
    return { dataId, shape: [...shape], dtype };
  }

  /** Bytes that live for the duration of an operation. */
  pass(bytes: number): void {
    this.#peakBytes = Math.max(this.#peakBytes, this.#livingBytes + bytes);
  }

  /** The same values under another shape. */
  share({ dataId }: TensorInfo, shape: readonly number[], dtype: DataType): TensorInfo {
    this.incRef(dataId);
    return { dataId, shape: [...shape], dtype };
  }

  override write(_values: unknown, shape: number[], dtype: DataType): DataId {
    const dataId = {};
    this.#keep(dataId, shape, dtype, 1);
    return dataId;
  }

  override move(
    dataId: DataId,
    _values: unknown,
    shape: number[],
    dtype: DataType,
    references: number,
  ): void {
    this.#keep(dataId, shape, dtype, references);
  }

  override readSync(dataId: object): Values {
    const { elements, dtype } = this.#entry(dataId);
    const bytes = elements * (dtype === 'float32' || dtype === 'int32' ? 4 : 1);
    if (this.#zeros.byteLength < bytes) this.#zeros = new ArrayBuffer(bytes);
    if (dtype === 'float32') return new Float32Array(this.#zeros, 0, elements);
    if (dtype === 'int32') return new Int32Array(this.#zeros, 0, elements);
    return new Uint8Array(this.#zeros, 0, elements);
  }

  override read(dataId: object): Promise<Values> {
    return Promise.resolve(this.readSync(dataId));
  }

  override incRef(dataId: DataId): void {
    this.#entry(dataId).references += 1;
  }

  override refCount(dataId: DataId): number {
    return this.#entries.get(dataId)?.references ?? 0;
  }

  override disposeData(dataId: object, force = false): boolean {
    const entry = this.#entries.get(dataId);
    if (!entry) return true;
    entry.references -= 1;
    if (!force && entry.references > 0) return false;
    this.#entries.delete(dataId);
    this.#livingBytes -= entry.bytes;
    return true;
  }

  override numDataIds(): number {
    return this.#entries.size;
  }

  override memory(): { unreliable: boolean; reasons: string[] } {
    return { unreliable: false, reasons: [] };
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  override dispose(): void {
    this.#entries.clear();
    this.#zeros = new ArrayBuffer(0);
    this.#livingBytes = 0;
  }

  #entry(dataId: object): Entry {
    const found = this.#entries.get(dataId);
    if (!found) throw new Error('a tensor of another backend met one that has no values');
    return found;
  }

  #keep(dataId: DataId, shape: readonly number[], dtype: DataType, references: number): void {
    const elements = shape.reduce((product, size) => product * size, 1);
    const bytes = elements * (BYTES[dtype] ?? 0);
    this.#entries.set(dataId, { elements, dtype, bytes, references });
    this.#livingBytes += bytes;
    this.#peakBytes = Math.max(this.#peakBytes, this.#livingBytes);
  }
}
