/**
 * The functions of the compiled addon and how it is found.
 *
 * Every function works on typed arrays that the caller provides; none keeps a reference to one
 * after it returns. All matrices are row-major. An array may be longer than its shape needs (a
 * reused buffer), never shorter. Outputs are overwritten whole, unless `accumulate` says otherwise,
 * and need no zeroing. An output must not overlap an input, except where the comment says "in
 * place". A wrong type, a short array, a size that is negative, not an integer or too large, or a
 * freed weight throws an `Error` with `code: 'PEFT_NATIVE_ARGUMENT'` before anything is written.
 *
 * Axes: N tokens of a packed batch, B sequences, D model width, H heads, E width of a head, V
 * vocabulary, P extra keys.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { PeftError } from '@peft/errors';
import type { ActivationName, WeightFormat } from '@peft/ops';

/** Sets of instructions that have micro-kernels, best first; `portable` runs everywhere. */
export type InstructionSet = 'avx512bf16' | 'avx512' | 'avx2' | 'neon' | 'portable';

export interface NativeInfo {
  readonly instructionSet: InstructionSet;
  /** What this processor can run, best first. */
  readonly instructionSets: readonly InstructionSet[];
  /**
   * Whether products with `bf16` set use bf16 instructions here; without them they compute in
   * float32.
   */
  readonly bf16: boolean;
  readonly threads: number;
  /** Whether the addon was compiled with address and undefined-behaviour checks. */
  readonly sanitized: boolean;
}

/** A base weight that lives outside of JavaScript. Freed by `weightFree`, or when collected. */
export interface WeightHandle {
  readonly [weightBrand]: true;
}
declare const weightBrand: unique symbol;

export interface WeightInfo {
  readonly format: WeightFormat;
  /** Logical shape `[out, in]` (embedding: `[rows, D]`). */
  readonly rows: number;
  readonly columns: number;
  /** Stored as `[in, out]`. */
  readonly transposed: boolean;
  /** 0 unless `nf4` or `fp4`. */
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
  /** nf4, fp4: `[ceil(n/2)]`, even element in the high nibble. int8: signed bytes `[n]`. */
  readonly packed: Uint8Array;
  /** nf4, fp4: one a block, absent with double quantisation. int8: one a row. */
  readonly absmax?: Float32Array;
  readonly absmaxCodes?: Uint8Array;
  readonly nestedMap?: Float32Array; // [256]
  readonly nestedAbsmax?: Float32Array;
  readonly nestedBlockSize?: number;
  readonly nestedOffset?: number;
}

/** Codes of `activation…`, `gated…`. */
export const ACTIVATION: Readonly<Record<ActivationName, number>> = Object.freeze({
  gelu: 0,
  gelu_tanh: 1,
  gelu_quick: 2,
  relu: 3,
  relu_squared: 4,
  silu: 5,
  tanh: 6,
  sigmoid: 7,
  leaky_relu: 8,
});

/** Codes of `binary`. */
export const BINARY = Object.freeze({
  add: 0,
  subtract: 1,
  multiply: 2,
  divide: 3,
  maximum: 4,
  minimum: 5,
  squaredDifference: 6,
});

/** Codes of `unary`. `rsqrt` is 1/√x, `step` x > 0 ? 1 : 0; the rest are what they say. */
export const UNARY = Object.freeze({
  negate: 0,
  absolute: 1,
  square: 2,
  sqrt: 3,
  rsqrt: 4,
  reciprocal: 5,
  exp: 6,
  log: 7,
  tanh: 8,
  sigmoid: 9,
  relu: 10,
  step: 11,
  erf: 12,
});

/** How an operand of `binary` is laid over `[rows, columns]`. */
export const LAYOUT = Object.freeze({ full: 0, row: 1, column: 2, scalar: 3 });

/** Codes of `reduceColumns`. */
export const REDUCTION = Object.freeze({ sum: 0, mean: 1, maximum: 2, sumOfSquares: 3 });

/**
 * See `AttentionAttributes` of @peft/ops; every field is needed. `columns` of q is `heads·E`, of k
 * and v `keyValueHeads·E`.
 */
export interface AttentionOptions {
  readonly queryOffsets: Int32Array; // [B+1]
  readonly keyOffsets: Int32Array; // [B+1]
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number; // E
  readonly scale: number;
  readonly causal: boolean;
  readonly window: number;
  readonly softCap: number;
  /** With a bias only: `bias[h, biasIndex[j − i + biasOrigin]]`, j − i clipped to the table. */
  readonly biasIndex: Int32Array | null;
  readonly biasOrigin: number;
  /** Columns S of the bias table. */
  readonly biasColumns: number;
  readonly extra: number; // P
  /**
   * 0: none. The probability of query row n (of all), head h and key column j (extra keys first)
   * has the number (n·H + h)·L + j, low 32 bits, L being P + the longest key sequence of the batch.
   */
  readonly dropoutRate: number;
  readonly dropoutKey0: number;
  readonly dropoutKey1: number;
  /** Products with bf16 operands. */
  readonly bf16: boolean;
}

/**
 * See `DisentangledAttributes` of @peft/ops; both index tables are read at (query − key +
 * relativeOrigin), clipped to the table.
 */
export interface DisentangledOptions {
  readonly offsets: Int32Array; // [B+1]
  readonly heads: number;
  readonly headSize: number; // E
  readonly scale: number;
  readonly contentToPositionIndex: Int32Array;
  readonly positionToContentIndex: Int32Array;
  readonly relativeOrigin: number;
  /** Rows S of the position tables. */
  readonly positions: number;
  /** Numbered as in `AttentionOptions`. */
  readonly dropoutRate: number;
  readonly dropoutKey0: number;
  readonly dropoutKey1: number;
  readonly bf16: boolean;
}

type F32 = Float32Array;

export interface NativeBinding {
  // --- machine ---
  info(): NativeInfo;
  /** For tests. An error for one that the processor lacks. Holds for the whole process. */
  setInstructionSet(name: InstructionSet): void;
  /**
   * Threads of the whole process, 1 … 256; 0 for the default (`PEFT_NUM_THREADS`, else all cores).
   * Results do not depend on it.
   */
  setThreads(count: number): void;
  /**
   * Uninitialised memory, aligned to 64 bytes, of which `usedBytes` will be used at first. Freed
   * when collected.
   */
  allocate(byteLength: number, usedBytes: number): ArrayBuffer;
  /**
   * Gives the physical memory of a buffer of {@link allocate} back to the system; its content is
   * lost, the buffer stays usable. Buffers below a megabyte stay as they are. Never call it with a
   * buffer of another origin.
   */
  discard(buffer: ArrayBuffer): void;
  /** Does nothing; what a call costs. */
  nothing(x: F32): void;

  // --- frozen weights ---
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
  /** A weight from quantised parts, copied. Absent parts are null. */
  weightFromParts(
    format: 'nf4' | 'fp4' | 'int8',
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
  ): WeightHandle;
  /**
   * A new weight of another format from one of `f32`, `f16`, `bf16` (or any, dequantised first), by
   * bitsandbytes' rules. The source stays. Quantised in the stored order; int8 needs `transposed`
   * false. `blockSize` and `doubleQuantization` matter for nf4, fp4.
   */
  weightConvert(
    source: WeightHandle,
    format: WeightFormat,
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
  /** dx = dy·W. dy `[N, rows]`, dx `[N, columns]`. */
  linearInputGradient(weight: WeightHandle, dy: F32, dx: F32, n: number, bf16: boolean): void;

  // --- products of tensors ---
  /**
   * c[i] = op(a[batchA[i]])·op(b[batchB[i]]) for i < batch; op transposes where asked. a `[·, m,
   * k]` (`[·, k, m]` transposed), b `[·, k, n]` (`[·, n, k]`), c `[batch, m, n]`. A null batch
   * index means i. `accumulate` adds to c.
   */
  matmul(
    a: F32,
    b: F32,
    c: F32,
    batch: number,
    m: number,
    n: number,
    k: number,
    transposeA: boolean,
    transposeB: boolean,
    batchA: Int32Array | null,
    batchB: Int32Array | null,
    accumulate: boolean,
    bf16: boolean,
  ): void;

  // --- norms ---
  /** y `[N, D]`, mean `[N]`, inverseStd `[N]`. */
  layerNorm(
    x: F32,
    gamma: F32,
    beta: F32,
    y: F32,
    mean: F32,
    inverseStd: F32,
    n: number,
    d: number,
    epsilon: number,
  ): void;
  /** dx `[N, D]`, dgamma, dbeta `[D]`; null where not needed. */
  layerNormGradient(
    x: F32,
    gamma: F32,
    mean: F32,
    inverseStd: F32,
    dy: F32,
    dx: F32 | null,
    dgamma: F32 | null,
    dbeta: F32 | null,
    n: number,
    d: number,
  ): void;
  rmsNorm(
    x: F32,
    gamma: F32,
    y: F32,
    inverseRms: F32,
    n: number,
    d: number,
    epsilon: number,
    gammaOffset: number,
  ): void;
  rmsNormGradient(
    x: F32,
    gamma: F32,
    inverseRms: F32,
    dy: F32,
    dx: F32 | null,
    dgamma: F32 | null,
    n: number,
    d: number,
    gammaOffset: number,
  ): void;

  // --- activations (in place allowed: y may be x, or an operand) ---
  activation(kind: number, x: F32, y: F32, length: number): void;
  activationGradient(kind: number, x: F32, dy: F32, dx: F32, length: number): void;
  gatedActivation(kind: number, gate: F32, up: F32, y: F32, length: number): void;
  gatedActivationGradient(
    kind: number,
    gate: F32,
    up: F32,
    dy: F32,
    dgate: F32,
    dup: F32,
    length: number,
  ): void;

  // --- attention ---
  /** Inputs as `PeftAttention`; absent ones are null. y `[Nq, H·E]`, logSumExp `[Nq, H]`. */
  attention(
    q: F32,
    k: F32,
    v: F32,
    bias: F32 | null,
    extraKeys: F32 | null,
    extraValues: F32 | null,
    y: F32,
    logSumExp: F32,
    options: AttentionOptions,
  ): void;
  /** dbias null where not needed; dextra… null where there are none. */
  attentionGradient(
    q: F32,
    k: F32,
    v: F32,
    bias: F32 | null,
    extraKeys: F32 | null,
    extraValues: F32 | null,
    y: F32,
    logSumExp: F32,
    dy: F32,
    dq: F32,
    dk: F32,
    dv: F32,
    dbias: F32 | null,
    dextraKeys: F32 | null,
    dextraValues: F32 | null,
    options: AttentionOptions,
  ): void;
  disentangledAttention(
    q: F32,
    k: F32,
    v: F32,
    positionKeys: F32 | null,
    positionQueries: F32 | null,
    y: F32,
    logSumExp: F32,
    options: DisentangledOptions,
  ): void;
  disentangledAttentionGradient(
    q: F32,
    k: F32,
    v: F32,
    positionKeys: F32 | null,
    positionQueries: F32 | null,
    y: F32,
    logSumExp: F32,
    dy: F32,
    dq: F32,
    dk: F32,
    dv: F32,
    dpositionKeys: F32 | null,
    dpositionQueries: F32 | null,
    options: DisentangledOptions,
  ): void;

  // --- rows and columns ---
  /**
   * x, y `[N, heads·E]`; cos, sin `[T, halfRotary]`; positions `[N]`, each < T. In place allowed.
   */
  rope(
    x: F32,
    cos: F32,
    sin: F32,
    positions: Int32Array,
    y: F32,
    n: number,
    heads: number,
    headSize: number,
    halfRotary: number,
    inverse: boolean,
  ): void;
  /** In place allowed. Element i is numbered i (low 32 bits). */
  dropout(x: F32, y: F32, length: number, rate: number, key0: number, key1: number): void;
  /** y = x ⊙ scale. In place allowed. */
  scaleColumns(x: F32, scale: F32, y: F32, n: number, d: number): void;
  scaleColumnsGradient(
    x: F32,
    scale: F32,
    dy: F32,
    dx: F32 | null,
    dscale: F32 | null,
    n: number,
    d: number,
  ): void;
  /** y `[D]` = Σ_n x[n]. */
  sumRows(x: F32, y: F32, n: number, d: number): void;
  /**
   * loss, logSumExp `[N]`; labels `[N]`, −100 is left out (loss 0); another label outside [0, V) is
   * an error.
   */
  crossEntropy(
    logits: F32,
    labels: Int32Array,
    loss: F32,
    logSumExp: F32,
    n: number,
    v: number,
  ): void;
  /** In place allowed (dlogits over logits). */
  crossEntropyGradient(
    logits: F32,
    labels: Int32Array,
    logSumExp: F32,
    dloss: F32,
    dlogits: F32,
    n: number,
    v: number,
  ): void;
  /** y[n] = x[rows[n]]. x `[M, D]`, y `[rows.length, D]`. */
  gatherRows(x: F32, rows: Int32Array, y: F32, m: number, d: number): void;
  /** y `[size, D]`, zeroed first, y[rows[n]] += x[n] in order of n. */
  scatterAddRows(x: F32, rows: Int32Array, y: F32, size: number, d: number): void;

  // --- elementwise and shape ---
  /**
   * y `[rows, columns]` = a ∘ b, each laid out as its `LAYOUT` says. In place allowed for `full`
   * operands.
   */
  binary(
    operation: number,
    a: F32,
    layoutA: number,
    b: F32,
    layoutB: number,
    y: F32,
    rows: number,
    columns: number,
  ): void;
  /** y[i] = f(scale·…): y = a∘value for a number. In place allowed. */
  binaryScalar(operation: number, a: F32, value: number, y: F32, length: number): void;
  /** In place allowed. */
  unary(operation: number, x: F32, y: F32, length: number): void;
  /** In place allowed. */
  clip(x: F32, y: F32, length: number, minimum: number, maximum: number): void;
  fill(y: F32, length: number, value: number): void;
  /** y `[rows]` over the last axis of x `[rows, columns]`. */
  reduceColumns(operation: number, x: F32, y: F32, rows: number, columns: number): void;
  /** Softmax (or its logarithm) over the last axis. In place allowed. */
  softmax(x: F32, y: F32, rows: number, columns: number, logarithm: boolean): void;
  /** dx = y ⊙ (dy − Σ y·dy); with `logarithm`, y being log-softmax: dx = dy − exp(y)·Σ dy. */
  softmaxGradient(
    y: F32,
    dy: F32,
    dx: F32,
    rows: number,
    columns: number,
    logarithm: boolean,
  ): void;
  /** y `[batch, columns, rows]` of x `[batch, rows, columns]`. */
  transpose(x: F32, y: F32, batch: number, rows: number, columns: number): void;
  /** y `[a, c, b, d]` of x `[a, b, c, d]`. */
  transpose0213(x: F32, y: F32, a: number, b: number, c: number, d: number): void;
  /**
   * Copies `rows` rows of `columns` elements: y[yOffset + r·yStride …] = x[xOffset + r·xStride …]
   * (concat, slice, pad).
   */
  copyRows(
    x: F32,
    xOffset: number,
    xStride: number,
    y: F32,
    yOffset: number,
    yStride: number,
    rows: number,
    columns: number,
  ): void;
  /** int32 or bool (uint8) to float32. */
  castToFloat(x: Int32Array | Uint8Array, y: F32, length: number): void;
  /** float32 to int32, towards zero; outside the range, to the nearest; NaN to 0. */
  castToInt(x: F32, y: Int32Array, length: number): void;
  /** Stored bytes (`f16`, `bf16`, little-endian) to float32 and back, to nearest even. */
  decode(format: 'f16' | 'bf16', bytes: Uint8Array, y: F32, length: number): void;
  encode(format: 'f16' | 'bf16', x: F32, bytes: Uint8Array, length: number): void;

  // --- optimiser ---
  /** √(Σ over all arrays of x²), summed in double precision in a fixed order. */
  l2Norm(arrays: readonly F32[]): number;
  /**
   * torch's AdamW for many tensors at once, with the numbers of each tensor in `stepSizes` lr/(1 −
   * β1ᵗ), `rootCorrections` √(1 − β2ᵗ) and `shrinks` 1 − lr·decay: g = float32(grad·gradientScale);
   * m += (g − m)(1 − β1); v = β2·v + (1 − β2)·g²; p = shrink·p − stepSize·m/(√v/rootCorrection +
   * ε), in double precision, m and v rounded when they are stored.
   */
  adamW(
    parameters: readonly F32[],
    gradients: readonly F32[],
    m: readonly F32[],
    v: readonly F32[],
    stepSizes: Float64Array,
    rootCorrections: Float64Array,
    shrinks: Float64Array,
    beta1: number,
    beta2: number,
    epsilon: number,
    gradientScale: number,
  ): void;
}

/**
 * Where an addon may lie, first match wins: `PEFT_NATIVE_ADDON`, this package's own build. After
 * them comes the prebuilt package of the platform.
 */
function candidates(): string[] {
  const own = fileURLToPath(new URL('../build/Release/peft_native.node', import.meta.url));
  return process.env['PEFT_NATIVE_ADDON'] ? [process.env['PEFT_NATIVE_ADDON']] : [own];
}

let loaded: NativeBinding | undefined;

/**
 * Loads the addon, once a thread.
 * @throws PEFT_NATIVE_UNAVAILABLE when it was not built for this machine or cannot be loaded; the
 *   message says why.
 */
export function loadBinding(): NativeBinding {
  if (loaded) return loaded;
  const require = createRequire(import.meta.url);
  const hint =
    'compile it (needs a C++20 compiler) with: npx peft-native-build, in a clone of the repository node tools/native/build-native.mjs; or use the portable engine.';
  for (const path of [...candidates(), `@peft/native-${process.platform}-${process.arch}`]) {
    if (path.endsWith('.node') && !existsSync(path)) continue;
    try {
      loaded = require(path) as NativeBinding;
      return loaded;
    } catch (cause) {
      if (!path.endsWith('.node') && (cause as { code?: string }).code === 'MODULE_NOT_FOUND')
        continue;
      throw new PeftError(
        'PEFT_NATIVE_UNAVAILABLE',
        `native: the addon ${path} cannot be loaded: ${(cause as Error).message}`,
        { hint, cause },
      );
    }
  }
  throw new PeftError(
    'PEFT_NATIVE_UNAVAILABLE',
    `native: there is no compiled addon for ${process.platform}-${process.arch}.`,
    { hint },
  );
}
