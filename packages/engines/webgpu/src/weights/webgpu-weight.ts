/** A frozen weight of the WebGPU engine. */
import { PeftError } from '@peft/errors';
import type { Engine, FrozenWeight, QuantizedParts, WeightFormat } from '@peft/ops';
import type { WebgpuBackend } from '../backend/webgpu-backend.js';
import type { Block } from '../gpu/buffer-pool.js';
import { readNow } from '../gpu/read-buffer.js';
import { elementBytes, freeStored, type StoredWeight } from './stored-weight.js';

export class WebgpuWeight implements FrozenWeight {
  #stored: StoredWeight | undefined;
  readonly shape: readonly [number, number];
  readonly format: WeightFormat;
  readonly byteLength: number;

  constructor(
    readonly engine: Engine,
    private readonly backend: WebgpuBackend,
    readonly name: string,
    stored: StoredWeight,
  ) {
    this.#stored = stored;
    const { rows, columns, transposed } = stored;
    this.shape = transposed ? [columns, rows] : [rows, columns];
    this.format = stored.format;
    this.byteLength = stored.byteLength;
  }

  get isDisposed(): boolean {
    return this.#stored === undefined;
  }

  /** @throws PEFT_WEIGHT_DISPOSED */
  get stored(): StoredWeight {
    if (!this.#stored)
      throw new PeftError('PEFT_WEIGHT_DISPOSED', `${this.name}: the weight was disposed of.`, {
        hint: 'load the model again',
      });
    return this.#stored;
  }

  /**
   * What a quantised weight is made of, read back from the device.
   * @throws PEFT_WEIGHT_FORMAT for one of another format
   */
  parts(): QuantizedParts {
    const { scales, columns, blockSize, chunks } = this.stored;
    const { name, shape } = this;
    const format = this.format as 'int8' | 'nf4' | 'fp4';
    if (!scales)
      throw new PeftError(
        'PEFT_WEIGHT_FORMAT',
        `webgpu: ${name} is stored as ${this.format}, which has no quantised parts.`,
      );
    const packed = new Uint8Array(elementBytes(format, shape[0] * shape[1]));
    for (const { firstRow, rows, block } of chunks)
      packed.set(
        this.#bytes(block, elementBytes(format, rows * columns)),
        elementBytes(format, firstRow * columns),
      );
    const floats = (block: Block, count: number) =>
      new Float32Array(this.#bytes(block, 4 * count).buffer);
    return {
      name,
      format,
      shape,
      packed,
      absmax:
        scales.kind === 'plain'
          ? floats(scales.absmax, scales.count)
          : {
              codes: this.#bytes(scales.codes, scales.count),
              map: floats(scales.map, 256),
              nestedAbsmax: floats(scales.maxima, Math.ceil(scales.count / scales.blockSize)),
              nestedBlockSize: scales.blockSize,
              offset: scales.offset,
            },
      blockSize: format === 'int8' ? undefined : blockSize,
    };
  }

  dispose(): void {
    if (!this.#stored) return;
    freeStored(this.backend.pool, this.#stored);
    this.#stored = undefined;
  }

  #bytes(block: Block, bytes: number): Uint8Array {
    return new Uint8Array(readNow(this.backend.stream, block, bytes));
  }
}
