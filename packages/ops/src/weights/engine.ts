/**
 * The seam between the operations and what computes them.
 *
 * An engine is a tfjs backend (activations are ordinary float32 tfjs tensors on it) plus products
 * with frozen weights, which never become tfjs variables. Every other operation runs on any tfjs
 * backend by its reference; an engine makes one faster by registering a tfjs kernel of the name in
 * `kernels.ts` for its backend.
 */
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import type { ActivationName } from '../tape/kernels.js';
import type { EngineSizing } from './engine-sizing.js';
import type { TensorSource } from './tensor-source.js';
import type { ConvertibleFormat, StoredOnlyFormat, WeightFormat } from './weight-format.js';

/**
 * An opaque handle of a base weight that does not train, made and owned by an engine. `shape` is
 * the logical one: `[out, in]` for a linear map (also when the file stores `[in, out]`), `[rows,
 * D]` for an embedding.
 */
export interface FrozenWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly format: WeightFormat;
  /** Bytes that the weight occupies; a memory-mapped one counts its mapped bytes. */
  readonly byteLength: number;
  readonly engine: Engine;
  readonly isDisposed: boolean;
  dispose(): void;
}

/** How an engine keeps a weight. */
export interface FreezeOptions {
  /**
   * Stored form; default: what the source has (`F32`→`f32`, `F16`→`f16`, `BF16`→`bf16`,
   * `F64`→`f32`).
   */
  readonly format?: ConvertibleFormat;
  /** The source stores `[in, out]` (GPT-2's Conv1D). */
  readonly transposed?: boolean;
  /** Elements per block of `nf4` and `fp4`: 32, 64, … 4096. Default 64. */
  readonly blockSize?: number;
  /** Quantise the block maxima of `nf4`/`fp4` to 8 bits, too. Default false. */
  readonly doubleQuantization?: boolean;
}

/** The parts of an already quantised weight, rows behind each other as bitsandbytes stores them. */
export interface QuantizedParts {
  readonly name: string;
  readonly format: 'nf4' | 'fp4' | 'int8' | StoredOnlyFormat;
  /** Logical shape `[out, in]`. */
  readonly shape: readonly number[];
  /** 4-bit: two codes a byte, even element in the high nibble. int8: one signed byte an element. */
  readonly packed: Uint8Array;
  /**
   * `nf4`, `fp4`: maximum of each block, or its 8-bit form. `int4`, `mxfp4`: scale of each block.
   * `int8`: maximum of each row (`SCB`).
   */
  readonly absmax: Float32Array | NestedAbsmax;
  /** `int4`: code that stands for 0 in each block. */
  readonly zeros?: Uint8Array;
  readonly blockSize?: number;
}

/**
 * Double quantisation: `absmax[i] = map[codes[i]] * nestedAbsmax[floor(i / nestedBlockSize)] +
 * offset`.
 */
export interface NestedAbsmax {
  readonly codes: Uint8Array;
  readonly map: Float32Array; // [256]
  readonly nestedAbsmax: Float32Array;
  readonly nestedBlockSize: number;
  readonly offset: number;
}

/** What an output layer makes of its products: z = cap(scale·p + b), see linearCrossEntropy. */
export interface OutputLayerOptions {
  /** b `[V]` */
  readonly bias?: Tensor1D;
  readonly scale: number;
  /** 0: none. */
  readonly softCap: number;
}

/** What {@link Engine.linearCrossEntropy} makes; the caller disposes. */
export interface OnePassLoss {
  /** `[N]` */
  readonly loss: Tensor1D;
  /** dloss_n/dx_n `[N, in]`, where it was asked for. */
  readonly gradient?: Tensor2D;
}

/** scale·x·Aᵀ·Bᵀ, what a low-rank adapter adds. */
export interface AddedProduct {
  readonly a: Tensor2D; // [r, in]
  readonly b: Tensor2D; // [out, r]
  readonly scale: number;
}

/** What `linearAddedGradient` is to make, and of what. */
export interface AddedGradientsWanted {
  /** dx = dy·W + scale·dy·B·A. */
  readonly withX: boolean;
  /** x `[N, in]`, for dA = scale·(dy·B)ᵀ·x. */
  readonly x?: Tensor2D;
  /** scale·x·Aᵀ `[N, r]`, for dB = dyᵀ·n. */
  readonly narrow?: Tensor2D;
}

/** Those that were asked for. */
export interface AddedGradients {
  readonly x?: Tensor2D; // [N, in]
  readonly a?: Tensor2D; // [r, in]
  readonly b?: Tensor2D; // [out, r]
}

/**
 * What turns values into blocks of GGUF files and back faster than the plain functions of
 * @peft/hub, bit for bit as they do. Both give undefined for a type that it does not have.
 */
export interface BlockCoder {
  /** @param type for instance `Q4_K`. @param values whole blocks. @returns a fresh array */
  encode(type: string, values: Float32Array): Uint8Array | undefined;
  /** @returns a fresh array */
  decode(type: string, bytes: Uint8Array): Float32Array | undefined;
}

/**
 * What computes: holds frozen weights in its own form and multiplies by them; all other operations
 * run on its tfjs backend, by its kernels where it has them.
 */
export interface Engine {
  /** `portable`, `native`, `tensorflow`, or a third party's. */
  readonly name: string;
  /**
   * The tfjs backend that activations live on. Active after `activate()`. One whose tensors cannot be
   * read at once says so (`DeviceMemory`).
   */
  readonly backendName: string;
  /**
   * Precision of the products' operands; accumulation, norms, softmax, loss and optimiser are
   * float32 always.
   */
  readonly precision: 'float32' | 'bfloat16';
  /** One line for people: device, instruction set, threads. */
  readonly description: string;
  /** What it holds in memory. Without it, runs on this engine are not planned. */
  readonly sizing?: EngineSizing;
  /** Without it, blocks of GGUF files are read and written in JavaScript. */
  readonly blocks?: BlockCoder;
  /** Makes the engine's tfjs backend the current one. */
  activate(): Promise<void>;
  /**
   * Makes a frozen weight from stored bytes. `PEFT_WEIGHT_FORMAT` when the engine lacks the format.
   */
  freeze(source: TensorSource, options?: FreezeOptions): FrozenWeight;
  freezeQuantized(parts: QuantizedParts): FrozenWeight;
  /**
   * The parts of an `int8`, `nf4` or `fp4` weight, to be written to a file. `PEFT_WEIGHT_FORMAT`
   * for one of another format.
   */
  quantizedParts(weight: FrozenWeight): QuantizedParts;
  /** y = x·Wᵀ + b. x `[N, in]`, b `[out]`, y `[N, out]`; the caller disposes y. */
  linear(x: Tensor2D, weight: FrozenWeight, bias?: Tensor1D): Tensor2D;
  /**
   * y = f(x·Wᵀ + b) in one pass, and the sums x·Wᵀ + b where `keepSums` asks for them (both `[N,
   * out]`; the caller disposes). Optional: without it the product and the activation run one after
   * the other.
   */
  linearActivated?(
    x: Tensor2D,
    weight: FrozenWeight,
    bias: Tensor1D | undefined,
    kind: ActivationName,
    keepSums: boolean,
  ): { readonly y: Tensor2D; readonly sums?: Tensor2D };
  /**
   * Cross entropy of an output layer, and its gradient where `withGradient` asks for it, in one pass
   * over the weight and without logits. Labels are inside [0, out). Optional, and undefined for a
   * weight that it cannot be made of: then logits are made for some rows at a time.
   */
  linearCrossEntropy?(
    x: Tensor2D,
    weight: FrozenWeight,
    labels: Int32Array,
    options: OutputLayerOptions,
    withGradient: boolean,
  ): OnePassLoss | undefined;
  /**
   * y = x·Wᵀ + b + n·Bᵀ `[N, out]` and n = scale·x·Aᵀ `[N, r]`, in one pass; the caller disposes both.
   * A `[r, in]` and B `[out, r]` are multiplied in float32. Optional, together with
   * `linearAddedGradient`: without them the products run one after the other.
   */
  linearAdded?(
    x: Tensor2D,
    weight: FrozenWeight,
    bias: Tensor1D | undefined,
    added: AddedProduct,
  ): { readonly y: Tensor2D; readonly narrow: Tensor2D };
  /** The gradients of `linearAdded` that `wanted` asks for; the caller disposes. */
  linearAddedGradient?(
    dy: Tensor2D,
    weight: FrozenWeight,
    added: AddedProduct,
    wanted: AddedGradientsWanted,
  ): AddedGradients;
  /** dx = dy·W. dy `[N, out]`, dx `[N, in]`; the caller disposes dx. */
  linearInputGradient(dy: Tensor2D, weight: FrozenWeight): Tensor2D;
  /**
   * Rows of an embedding: y[n] = W[ids[n]]. y `[N, D]`; the caller disposes. `PEFT_TOKEN_ID_RANGE`
   * for an id outside. With device memory: a tensor of the current backend, see `dequantize`.
   */
  gather(weight: FrozenWeight, ids: Int32Array): Tensor2D;
  /**
   * The weight as a float32 tensor of its logical shape; the caller disposes. An engine with device
   * memory makes it on the tfjs backend that is current: host memory while a model is changed or
   * saved.
   */
  dequantize(weight: FrozenWeight): Tensor;
  /**
   * Frees what the engine holds besides weights. Weights still alive then are an error of their
   * owner.
   */
  dispose(): void;
}
