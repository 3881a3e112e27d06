/**
 * The tfjs backend of the native engine: tfjs's plain CPU backend with its tensors in pooled,
 * aligned memory.
 *
 * Reading a tensor's values copies them, since the memory is used again as soon as the tensor is
 * disposed of.
 */
import type { DataType, TensorInfo } from '@tensorflow/tfjs';
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import { PeftError } from '@peft/errors';
import type { NativeBinding } from './binding/native-binding.js';
import { BufferPool } from './buffer-pool.js';

/** The name that tfjs knows the backend by. */
export const NATIVE_BACKEND = 'native';

type DataId = TensorInfo['dataId'];

/** tfjs's CPU backend with float32 values in the addon's aligned, pooled memory. */
export class NativeBackend extends MathBackendCPU {
  readonly pool: BufferPool;
  /** Products inside attention use bf16 operands. */
  bf16 = false;

  constructor(readonly binding: NativeBinding) {
    super();
    this.pool = new BufferPool(binding);
    // tfjs's advice to install tfjs-node does not apply; the field is private, hence the cast
    (this as unknown as { firstUse: boolean }).firstUse = false;
  }

  /** The float32 values of a tensor, as they lie in memory. */
  values(tensor: TensorInfo): Float32Array {
    const values = this.data.get(tensor.dataId)?.values;
    if (!(values instanceof Float32Array))
      throw new PeftError(
        'PEFT_NATIVE_DTYPE',
        `native: a kernel needs float32 values, got a ${tensor.dtype} tensor of shape [${tensor.shape.join(', ')}].`,
        { hint: 'cast it with tf.cast(x, "float32")' },
      );
    return values;
  }

  /** As `HeldMemory`; a tensor of another backend, which tfjs moves here when it reads it, is read. */
  heldValues(tensor: TensorInfo): Float32Array | undefined {
    return this.data.has(tensor.dataId) ? this.values(tensor) : undefined;
  }

  /** A new tensor of uninitialised float32 values, and those values. */
  create(shape: readonly number[]): { readonly info: TensorInfo; readonly values: Float32Array } {
    const values = this.pool.take(shape.reduce((product, size) => product * size, 1));
    return { info: this.makeTensorInfo([...shape], 'float32', values), values };
  }

  /**
   * The memory of a tensor that nobody reads any more, for another one of `length` elements that
   * begins alike; the tensor has none left. Undefined where others share it, or there is not enough
   * of it.
   */
  takeOver(tensor: TensorInfo, length: number): Float32Array | undefined {
    const data = this.data.get(tensor.dataId) as { values: unknown; refCount?: number };
    const { values, refCount } = data;
    if (
      refCount !== 1 ||
      !(values instanceof Float32Array) ||
      !this.pool.owns(values) ||
      this.pool.capacityOf(values) < length
    )
      return undefined;
    data.values = new Float32Array(0);
    return new Float32Array(values.buffer, 0, length);
  }

  override readSync(dataId: DataId): ReturnType<MathBackendCPU['readSync']> {
    const values = super.readSync(dataId);
    return values instanceof Float32Array && this.pool.owns(values) ? values.slice() : values;
  }

  override disposeData(dataId: DataId, force = false): boolean {
    if (!this.data.has(dataId)) return true;
    const { values } = this.data.get(dataId);
    const isGone = super.disposeData(dataId, force);
    if (isGone && values instanceof Float32Array && this.pool.owns(values)) this.pool.give(values);
    return isGone;
  }

  /**
   * Copies values that another tensor's memory was lent to (a slice, say), so that each tensor owns
   * its own.
   */
  separate(output: TensorInfo, inputs: readonly TensorInfo[]): void {
    const data = this.data.get(output.dataId);
    const { values } = data;
    if (!(values instanceof Float32Array) || !this.pool.owns(values)) return;
    if (inputs.some(({ dataId }) => dataId === output.dataId)) return;
    data.values = values.slice();
  }

  override memory(): { unreliable: boolean; reasons: string[] } {
    return { unreliable: false, reasons: [] };
  }

  override dispose(): void {
    this.pool.clear();
  }
}

/** Whether the addon's kernels take a tensor: they compute in float32. */
export const isFloat = (tensor: { readonly dtype: DataType }): boolean =>
  tensor.dtype === 'float32';
