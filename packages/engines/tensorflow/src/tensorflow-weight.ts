/**
 * A frozen weight on TensorFlow's device, in its stored form; made a matrix of the products' type
 * for each use.
 */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import {
  codeBook,
  type Engine,
  type FrozenWeight,
  type NestedAbsmax,
  type QuantizedParts,
  type WeightFormat,
} from '@peft/ops';
import { TYPE } from './binding.js';
import type { AnyTensor, Device, RawTensor } from './device.js';

/** What lies on the device. Each raw tensor belongs to the weight. */
export type StoredTensors =
  | {
      readonly kind: 'plain';
      readonly values: RawTensor;
      /** The values are `[in, out]`. */ readonly transposed: boolean;
    }
  | {
      readonly kind: 'int8';
      readonly codes: RawTensor;
      /** `[out, 1]`, the row maxima. */ readonly absmax: RawTensor;
    }
  | {
      readonly kind: 'fourBit';
      /** uint8, two codes each. */ readonly packed: RawTensor;
      readonly blockSize: number;
      readonly absmax: RawTensor | NestedTensors;
    };

/**
 * Block maxima as 8-bit numbers: absmax_i = map[codes_i]·nestedAbsmax[⌊i / nestedBlockSize⌋] +
 * offset.
 */
export interface NestedTensors {
  readonly codes: RawTensor;
  readonly map: RawTensor; // [256]
  readonly nestedAbsmax: RawTensor;
  readonly nestedBlockSize: number;
  readonly offset: number;
}

const FLOAT = { type: TYPE.float32 } as const;
const INT = { type: TYPE.int32 } as const;

export class TensorflowWeight implements FrozenWeight {
  #stored: StoredTensors | undefined;

  constructor(
    readonly engine: Engine,
    readonly device: Device,
    readonly name: string,
    readonly shape: readonly [number, number],
    readonly format: WeightFormat,
    readonly byteLength: number,
    stored: StoredTensors,
  ) {
    this.#stored = stored;
  }

  get isDisposed(): boolean {
    return this.#stored === undefined;
  }

  /**
   * The weight as `type` (float32 or bfloat16), `[in, out]` where `transposed`. Owned by the
   * device's current scope, or by the weight.
   */
  matrix(type: number): { readonly values: AnyTensor; readonly transposed: boolean } {
    const stored = this.#alive();
    if (stored.kind === 'plain')
      return {
        values: this.device.cast(stored.values, stored.values.type, type),
        transposed: stored.transposed,
      };
    const { device } = this;
    return {
      values: device.scope(() =>
        device.cast(
          device.scope(() => this.#dequantized(stored)),
          TYPE.float32,
          type,
        ),
      ),
      transposed: false,
    }; // what it took is freed before the product
  }

  /** Rows `ids` in float32, `[N, in]`. */
  rows(ids: Int32Array): AnyTensor {
    const { device } = this;
    const stored = this.#alive();
    const [, width] = this.shape;
    const index = device.integers(ids);
    if (stored.kind === 'plain') {
      const { values, transposed } = stored;
      const gathered = this.#gather(values, index, transposed ? 1 : 0);
      const upright = transposed
        ? device.run('Transpose', { T: { type: values.type }, Tperm: INT }, [
            gathered,
            device.integers([1, 0]),
          ])
        : gathered;
      return device.cast(upright, values.type, TYPE.float32);
    }
    if (stored.kind === 'int8')
      return this.#scaledRows(
        this.#gather(stored.codes, index),
        this.#gather(stored.absmax, index),
      );
    // then a row has blocks of its own, and bytes
    const blocksAreRows = width % stored.blockSize === 0;
    if (!blocksAreRows) return this.#gather(this.#dequantized(stored), index);
    const bytes = this.#gather(device.reshape(stored.packed, [this.shape[0], width / 2]), index);
    const blocks = this.#gather(
      device.reshape(this.#absmaxOf(stored.absmax), [this.shape[0], width / stored.blockSize]),
      index,
    );
    return device.reshape(this.#scaledBlocks(bytes, blocks, stored.blockSize, ids.length * width), [
      ids.length,
      width,
    ]);
  }

  /** What a quantised weight is made of, read back from the device. */
  parts(): QuantizedParts {
    const stored = this.#alive();
    const { name, format, shape } = this;
    if (stored.kind === 'plain')
      throw new PeftError(
        'PEFT_WEIGHT_FORMAT',
        `tensorflow: ${name} is stored as ${format}, which has no quantised parts.`,
      );
    return this.device.scope(() => {
      if (stored.kind === 'int8')
        return {
          name,
          format: 'int8' as const,
          shape,
          packed: this.#bytes(stored.codes),
          absmax: this.#floats(stored.absmax),
        };
      const { absmax, blockSize } = stored;
      return {
        name,
        format: format as 'nf4' | 'fp4',
        shape,
        packed: this.#bytes(stored.packed),
        absmax: 'codes' in absmax ? this.#nestedParts(absmax) : this.#floats(absmax),
        blockSize,
      };
    });
  }

  dispose(): void {
    if (!this.#stored) return;
    for (const raw of rawTensorsOf(this.#stored)) this.device.free(raw);
    this.#stored = undefined;
  }

  #alive(): StoredTensors {
    if (!this.#stored)
      throw new PeftError('PEFT_WEIGHT_DISPOSED', `${this.name}: the weight was disposed of.`, {
        hint: 'load the model again',
      });
    return this.#stored;
  }

  #dequantized(stored: Exclude<StoredTensors, { kind: 'plain' }>): RawTensor {
    if (stored.kind === 'int8') return this.#scaledRows(stored.codes, stored.absmax);
    const [out, width] = this.shape;
    return this.device.reshape(
      this.#scaledBlocks(
        stored.packed,
        this.#absmaxOf(stored.absmax),
        stored.blockSize,
        out * width,
      ),
      [out, width],
    );
  }

  /** codes·(absmax/127) by row. */
  #scaledRows(codes: RawTensor, absmax: RawTensor): RawTensor {
    const { device } = this;
    const scale = device.run('Mul', { T: FLOAT }, [
      absmax,
      device.floats(Float32Array.of(1 / 127)),
    ]);
    return device.run('Mul', { T: FLOAT }, [device.cast(codes, TYPE.int8, TYPE.float32), scale]);
  }

  /** The pairs of values that bytes stand for, times their block's maximum: `[count]`. */
  #scaledBlocks(packed: RawTensor, absmax: RawTensor, blockSize: number, count: number): RawTensor {
    const { device } = this;
    // A pair of float32 values is gathered as one element of 64 bits.
    const pairs = device.scope(() =>
      this.#gather(
        pairTable(device, this.format as 'nf4' | 'fp4'),
        device.cast(packed, TYPE.uint8, TYPE.int32) as RawTensor,
      ),
    );
    const values = device.reshape(
      device.run('Bitcast', { T: { type: COMPLEX64 }, type: FLOAT }, [pairs]),
      [-1],
    );
    const blocks = Math.ceil(count / blockSize);
    const missing = blocks * blockSize - values.shape[0]!;
    const whole =
      missing > 0
        ? device.run('Pad', { T: FLOAT, Tpaddings: INT }, [
            values,
            device.integers([0, missing], [1, 2]),
          ])
        : values;
    const scaled = device.run('Mul', { T: FLOAT }, [
      device.reshape(whole, [blocks, blockSize]),
      device.reshape(absmax, [blocks, 1]),
    ]);
    const flat = device.reshape(scaled, [blocks * blockSize]);
    return blocks * blockSize === count
      ? flat
      : device.run('Slice', { T: FLOAT, Index: INT }, [
          flat,
          device.integers([0]),
          device.integers([count]),
        ]);
  }

  #absmaxOf(absmax: RawTensor | NestedTensors): RawTensor {
    if (!('codes' in absmax)) return absmax;
    const { device } = this;
    const { codes, map, nestedAbsmax, nestedBlockSize, offset } = absmax;
    const count = codes.shape[0]!;
    const values = this.#gather(map, device.cast(codes, TYPE.uint8, TYPE.int32) as RawTensor);
    const scales = this.#gather(
      nestedAbsmax,
      device.integers(
        Int32Array.from({ length: count }, (_, i) => Math.floor(i / nestedBlockSize)),
      ),
    );
    return device.run('AddV2', { T: FLOAT }, [
      device.run('Mul', { T: FLOAT }, [values, scales]),
      device.floats(Float32Array.of(offset)),
    ]);
  }

  #gather(table: RawTensor, index: RawTensor, axis = 0): RawTensor {
    return this.device.run(
      'GatherV2',
      { Tparams: { type: table.type }, Tindices: INT, Taxis: INT, batch_dims: 0 },
      [table, index, this.device.integers([axis], [])],
    );
  }

  /** TensorFlow's addon reads no bytes, so they come as int32. */
  #bytes(raw: RawTensor): Uint8Array {
    const { device } = this;
    const numbers = device.binding.tensorDataSync(
      (device.cast(raw, raw.type, TYPE.int32) as RawTensor).id,
    );
    return Uint8Array.from(numbers);
  }

  #floats(raw: RawTensor): Float32Array {
    return this.device.binding.tensorDataSync(raw.id) as Float32Array;
  }

  #nestedParts({ codes, map, nestedAbsmax, nestedBlockSize, offset }: NestedTensors): NestedAbsmax {
    return {
      codes: this.#bytes(codes),
      map: this.#floats(map),
      nestedAbsmax: this.#floats(nestedAbsmax),
      nestedBlockSize,
      offset,
    };
  }
}

/** A tfjs tensor of the whole weight, `[out, in]`, float32. */
export function wholeWeight(weight: TensorflowWeight): Tensor2D {
  const { device } = weight;
  return device.scope(() => {
    const { values, transposed } = weight.matrix(TYPE.float32);
    const perm = device.integers(transposed ? [1, 0] : [0, 1]);
    return device.toTensor<Tensor & Tensor2D>(
      device.run('Transpose', { T: FLOAT, Tperm: INT }, [values, perm]),
    ); // a copy in any case
  });
}

const COMPLEX64 = 8;

/** Element b is the pair (value of b's high nibble, value of its low nibble), `[256]`. */
function pairTable(device: Device, format: 'nf4' | 'fp4'): RawTensor {
  const book = codeBook(format);
  const values = Float32Array.from(
    { length: 512 },
    (_, i) => book[i % 2 === 0 ? (i >> 1) >> 4 : (i >> 1) & 15]!,
  );
  return device.run('Bitcast', { T: FLOAT, type: { type: COMPLEX64 } }, [
    device.floats(values, [256, 2]),
  ]);
}

function rawTensorsOf(stored: StoredTensors): RawTensor[] {
  if (stored.kind === 'plain') return [stored.values];
  if (stored.kind === 'int8') return [stored.codes, stored.absmax];
  const { packed, absmax } = stored;
  return 'codes' in absmax
    ? [packed, absmax.codes, absmax.map, absmax.nestedAbsmax]
    : [packed, absmax];
}
