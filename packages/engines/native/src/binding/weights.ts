/** Frozen weights and the products with them: cpp/binding/weights.cc. */
import type { ConvertibleFormat, StoredOnlyFormat, WeightFormat } from '@peft/ops';
import type { NativeBlockType } from './blocks.js';

type F32 = Float32Array;

/** A base weight that lives outside of JavaScript. Freed by `weightFree`, or when collected. */
export interface WeightHandle {
  readonly [weightBrand]: true;
}
declare const weightBrand: unique symbol;

/** What a frozen weight is. */
export interface WeightInfo {
  readonly format: WeightFormat;
  /** Logical shape `[out, in]` (embedding: `[rows, D]`). */
  readonly rows: number;
  readonly columns: number;
  /** Stored as `[in, out]`. */
  readonly transposed: boolean;
  /** 0 unless it has 4 bits. */
  readonly blockSize: number;
  readonly doubleQuantization: boolean;
  /** Bytes occupied, or mapped. */
  readonly byteLength: number;
  readonly mapped: boolean;
}

/**
 * A quantised weight's parts as bitsandbytes stores them; fresh arrays. Without double quantisation
 * only `absmax`.
 */
export interface WeightParts {
  /** 4 bits: `[ceil(n/2)]`, even element in the high nibble. int8: signed bytes `[n]`. */
  readonly packed: Uint8Array;
  /** 4 bits: one a block, absent with double quantisation. int8: one a row. */
  readonly absmax?: Float32Array;
  readonly absmaxCodes?: Uint8Array;
  readonly nestedMap?: Float32Array; // [256]
  readonly nestedAbsmax?: Float32Array;
  readonly nestedBlockSize?: number;
  readonly nestedOffset?: number;
  /** int4: one a block. */
  readonly zeros?: Uint8Array;
}

/** Makes, reads, multiplies by and frees frozen weights. */
export interface WeightFunctions {
  /** A weight over a file's span, memory-mapped. `rows × columns` is the logical shape. */
  weightFromFile(
    path: string,
    byteOffset: number,
    format: 'f32' | 'f16' | 'bf16',
    rows: number,
    columns: number,
    transposed: boolean,
  ): WeightHandle;
  /** A weight over a copy of `bytes` (little-endian, as stored). */
  weightFromBytes(
    bytes: Uint8Array,
    format: 'f32' | 'f16' | 'bf16',
    rows: number,
    columns: number,
    transposed: boolean,
  ): WeightHandle;
  /** A float32 weight of the values in whole blocks of a GGUF file. */
  weightFromBlocks(
    type: NativeBlockType,
    bytes: Uint8Array,
    rows: number,
    columns: number,
    transposed: boolean,
  ): WeightHandle;
  /** A weight from quantised parts, copied. Absent parts are null. */
  weightFromParts(
    format: 'nf4' | 'fp4' | 'int8' | StoredOnlyFormat,
    rows: number,
    columns: number,
    transposed: boolean,
    blockSize: number,
    packed: Uint8Array,
    absmax: F32 | null,
    absmaxCodes: Uint8Array | null,
    nestedMap: F32 | null,
    nestedAbsmax: F32 | null,
    nestedBlockSize: number,
    nestedOffset: number,
    zeros: Uint8Array | null,
  ): WeightHandle;
  /**
   * A new weight of another format from one of `f32`, `f16`, `bf16` (or any, dequantised first), by
   * bitsandbytes' rules. The source stays. Quantised in the stored order; int8 needs `transposed`
   * false. `blockSize` and `doubleQuantization` matter for nf4, fp4.
   */
  weightConvert(
    source: WeightHandle,
    format: ConvertibleFormat,
    blockSize: number,
    doubleQuantization: boolean,
  ): WeightHandle;
  weightInfo(weight: WeightHandle): WeightInfo;
  weightParts(weight: WeightHandle): WeightParts;
  weightFree(weight: WeightHandle): void;
  /** out `[rows, columns]`. */
  weightDequantize(weight: WeightHandle, out: F32): void;
  /** out[n] = W[ids[n]], out `[N, columns]`. An id outside is an error. */
  weightGather(weight: WeightHandle, ids: Int32Array, out: F32): void;
  /** y = x·Wᵀ + bias. x `[N, columns]`, bias `[rows]` or null, y `[N, rows]`. */
  linear(weight: WeightHandle, x: F32, bias: F32 | null, y: F32, n: number, bf16: boolean): void;
  /**
   * y = f(x·Wᵀ + bias), `kind` being one of `ACTIVATION`; `sums` `[N, rows]` receives x·Wᵀ + bias
   * unless it is null.
   */
  linearActivated(
    weight: WeightHandle,
    x: F32,
    bias: F32 | null,
    kind: number,
    y: F32,
    sums: F32 | null,
    n: number,
    bf16: boolean,
  ): void;
  /**
   * y = x·Wᵀ + bias + narrow·bᵀ and narrow = scale·x·aᵀ `[N, rank]`; a `[rank, columns]`, b `[rows, rank]`,
   * both multiplied in float32.
   */
  linearAdded(
    weight: WeightHandle,
    x: F32,
    bias: F32 | null,
    a: F32,
    b: F32,
    rank: number,
    scale: number,
    y: F32,
    narrow: F32,
    n: number,
    bf16: boolean,
  ): void;
  /**
   * dx = dy·W + scale·dy·b·a, da = scale·(dy·b)ᵀ·x, db = dyᵀ·narrow; each but where it is null. x is
   * needed for da, narrow for db.
   */
  linearAddedGradient(
    weight: WeightHandle,
    dy: F32,
    x: F32 | null,
    narrow: F32 | null,
    a: F32,
    b: F32,
    rank: number,
    scale: number,
    dx: F32 | null,
    da: F32 | null,
    db: F32 | null,
    n: number,
    bf16: boolean,
  ): void;
  /** dx = dy·W. dy `[N, rows]`, dx `[N, columns]`. */
  linearInputGradient(weight: WeightHandle, dy: F32, dx: F32, n: number, bf16: boolean): void;
  /**
   * loss[n] = ln Σ_v exp z_nv − z_nt, z = cap(scale·x·Wᵀ + bias), t the labels, each in [0, rows);
   * dx `[N, columns]` receives dloss/dx unless it is null. An error for a transposed weight.
   */
  linearCrossEntropy(
    weight: WeightHandle,
    x: F32,
    bias: F32 | null,
    labels: Int32Array,
    loss: F32,
    n: number,
    dx: F32 | null,
    scale: number,
    softCap: number,
    bf16: boolean,
  ): void;
}
