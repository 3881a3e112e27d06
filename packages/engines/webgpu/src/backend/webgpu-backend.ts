/**
 * The tfjs backend of the WebGPU engine: tensors in pooled buffers of the device, four bytes an
 * element (booleans as int32). Small tensors keep their values on this side as well, so that a
 * number among the operands is a parameter of the kernel and no buffer.
 */
import * as tf from '@tensorflow/tfjs';
import type { BackendValues, DataType, TensorInfo } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { BufferPool, type Block } from '../gpu/buffer-pool.js';
import { CommandStream } from '../gpu/command-stream.js';
import type { DeviceFailure } from '../gpu/device-failure.js';
import { DEFAULT_THREADS, type KernelSource } from '../gpu/kernel-source.js';
import { readLater, readNow } from '../gpu/read-buffer.js';
import { UploadCache } from './upload-cache.js';

/** The name that tfjs knows the backend by. */
export const WEBGPU_BACKEND = 'peft-webgpu';
/** Tensors of so few elements keep their values on this side. */
const SMALL = 16;
/** A dispatch has at most so many workgroups along an axis. */
const MOST_GROUPS = 65535;

type DataId = TensorInfo['dataId'];
type Values = Float32Array | Int32Array | Uint8Array;

interface Entry {
  readonly dtype: DataType;
  readonly elements: number;
  /** On the device; made when a kernel asks for it. */
  block?: Block;
  /** On this side, of small tensors. */
  readonly values?: Values;
  references: number;
}

export class WebgpuBackend extends tf.KernelBackend {
  /** Values are read later; where the binding can be waited for, `dataSync` waits. */
  readonly hasDeviceMemory = true;
  readonly stream: CommandStream;
  readonly pool: BufferPool;
  readonly uploads: UploadCache;
  readonly #data: tf.DataStorage<Entry>;

  constructor(
    readonly device: GPUDevice,
    readonly failure: DeviceFailure,
  ) {
    super();
    this.stream = new CommandStream(device, failure);
    this.pool = new BufferPool(device, (block) => this.stream.forget(block));
    this.uploads = new UploadCache(this.pool, this.stream);
    this.#data = new tf.DataStorage(this, tf.engine());
  }

  /** A new tensor of uninitialised values. */
  make(shape: readonly number[], dtype: DataType = 'float32'): TensorInfo {
    const elements = sizeOf(shape);
    return this.#enter(shape, {
      dtype,
      elements,
      block: this.pool.take(4 * elements),
      references: 1,
    });
  }

  /** The memory of a tensor. */
  block({ dataId }: TensorInfo): Block {
    const entry = this.#data.get(dataId);
    if (!entry.block) {
      entry.block = this.pool.take(4 * entry.elements);
      this.stream.upload(entry.block, stored(entry.values!));
    }
    return entry.block;
  }

  /** The one value of a tensor that was made on this side, undefined where it would have to be read. */
  number({ dataId }: TensorInfo): number | undefined {
    const { elements, values } = this.#data.get(dataId);
    return elements === 1 ? values?.[0] : undefined;
  }

  /** The same values under another shape. */
  reshaped({ dataId, dtype }: TensorInfo, shape: readonly number[]): TensorInfo {
    this.incRef(dataId);
    return { dataId, shape: [...shape], dtype };
  }

  /** One thread for each of `size` elements. */
  runOver(
    size: number,
    source: KernelSource,
    blocks: readonly Block[],
    counts: readonly number[] = [],
    numbers: readonly number[] = [],
  ): void {
    const all = Math.ceil(size / (source.threads ?? DEFAULT_THREADS));
    this.runGroups(all, source, blocks, counts, numbers);
  }

  /** So many workgroups, numbered by group.y · groups.x + group.x; some may be beyond the last. */
  runGroups(
    count: number,
    source: KernelSource,
    blocks: readonly Block[],
    counts: readonly number[] = [],
    numbers: readonly number[] = [],
  ): void {
    const y = Math.ceil(count / MOST_GROUPS);
    const groups = [y > 1 ? MOST_GROUPS : count, y] as const;
    this.stream.run({ source, blocks, counts, numbers, groups });
  }

  override write(values: BackendValues, shape: number[], dtype: DataType): DataId {
    const dataId = {};
    this.move(dataId, values, shape, dtype, 1);
    return dataId;
  }

  override move(
    dataId: DataId,
    values: BackendValues,
    shape: number[],
    dtype: DataType,
    references: number,
  ): void {
    if (dtype !== 'float32' && dtype !== 'int32' && dtype !== 'bool')
      throw new PeftError(
        'PEFT_WEBGPU_DTYPE',
        `webgpu: tensors of ${dtype} are not computed with.`,
        {
          hint: 'cast it to float32 or int32',
        },
      );
    const elements = sizeOf(shape);
    const given = typed(values as Values, dtype);
    if (elements <= SMALL) {
      this.#data.set(dataId, { dtype, elements, values: given.slice(), references });
      return;
    }
    const block = this.pool.take(4 * elements);
    this.stream.upload(block, stored(given));
    this.#data.set(dataId, { dtype, elements, block, references });
  }

  override async read(dataId: DataId): Promise<BackendValues> {
    const entry = this.#data.get(dataId);
    if (entry.values) return entry.values.slice();
    if (entry.elements === 0) return fromStored(new ArrayBuffer(0), entry);
    const bytes = await readLater(this.stream, entry.block!, 4 * entry.elements);
    this.failure.check();
    return fromStored(bytes, entry);
  }

  override readSync(dataId: DataId): BackendValues {
    const entry = this.#data.get(dataId);
    if (entry.values) return entry.values.slice();
    if (entry.elements === 0) return fromStored(new ArrayBuffer(0), entry);
    const bytes = readNow(this.stream, entry.block!, 4 * entry.elements);
    this.failure.check();
    return fromStored(bytes, entry);
  }

  override disposeData(dataId: DataId, force = false): boolean {
    if (!this.#data.has(dataId)) return true;
    const entry = this.#data.get(dataId);
    entry.references -= 1;
    if (!force && entry.references > 0) return false;
    if (entry.block) this.pool.give(entry.block);
    this.#data.delete(dataId);
    return true;
  }

  override refCount(dataId: DataId): number {
    return this.#data.has(dataId) ? this.#data.get(dataId).references : 0;
  }

  override incRef(dataId: DataId): void {
    this.#data.get(dataId).references += 1;
  }

  override numDataIds(): number {
    return this.#data.numDataIds();
  }

  override memory(): { unreliable: boolean; numBytesInGPU: number } {
    return { unreliable: false, numBytesInGPU: this.pool.usage.livingBytes };
  }

  override floatPrecision(): 16 | 32 {
    return 32;
  }

  override timerAvailable(): boolean {
    return false;
  }

  override dispose(): void {
    this.uploads.clear();
    this.pool.clear();
    this.device.destroy();
  }

  #enter(shape: readonly number[], entry: Entry): TensorInfo {
    const dataId = {};
    this.#data.set(dataId, entry);
    return { dataId, shape: [...shape], dtype: entry.dtype };
  }
}

/** Number of elements of a shape. */
export const sizeOf = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);

function typed(values: Values | number[], dtype: 'float32' | 'int32' | 'bool'): Values {
  const type = { float32: Float32Array, int32: Int32Array, bool: Uint8Array }[dtype];
  return values instanceof type ? values : type.from(values as ArrayLike<number>);
}

/** As it lies on the device. */
const stored = (values: Values): Float32Array | Int32Array =>
  values instanceof Uint8Array ? Int32Array.from(values) : values;

function fromStored(bytes: ArrayBuffer, { dtype }: Entry): Values {
  if (dtype === 'float32') return new Float32Array(bytes);
  const values = new Int32Array(bytes);
  return dtype === 'bool' ? Uint8Array.from(values) : values;
}
