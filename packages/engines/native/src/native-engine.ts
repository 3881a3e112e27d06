/** The native engine: frozen weights in the checkpoint's own bytes, products and kernels in C++. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { check, PeftError } from '@peft/errors';
import {
  decodeFloat32,
  isQuantizedFormat,
  type ActivationName,
  type AddedGradients,
  type AddedGradientsWanted,
  type AddedProduct,
  type BlockCoder,
  type Engine,
  type FreezeOptions,
  type FrozenWeight,
  type OnePassLoss,
  type OutputLayerOptions,
  type QuantizedParts,
  type StoredDtype,
  type TensorSource,
} from '@peft/ops';
import { blockCoder, isBlockType } from './block-coder.js';
import { loadBinding } from './binding/load-binding.js';
import type { NativeBinding } from './binding/native-binding.js';
import type { WeightHandle } from './binding/weights.js';
import { registerActivations } from './kernels/activations.js';
import { registerAttention } from './kernels/attention.js';
import { registerElementwise } from './kernels/elementwise.js';
import { registerNorms } from './kernels/norms.js';
import { registerOptimizer } from './kernels/optimizer.js';
import { registerProducts } from './kernels/products.js';
import { inheritKernels } from './kernels/register.js';
import { registerLayRows } from './kernels/lay-rows.js';
import { registerRows } from './kernels/rows.js';
import { registerShapes } from './kernels/shapes.js';
import { MOST_THREADS } from './environment.js';
import { NATIVE_BACKEND, NativeBackend } from './native-backend.js';
import {
  linear,
  linearActivated,
  linearAdded,
  linearAddedGradient,
  linearInputGradient,
} from './frozen-products.js';
import { nativeSizing } from './native-sizing.js';
import { NativeWeight } from './native-weight.js';
import { outputLoss } from './output-loss.js';
import { matrixShape } from './weight-shapes.js';

/** How the native engine computes. */
export interface NativeEngineOptions {
  /**
   * Operands of the products. Default `bfloat16` where the processor has instructions for it, else
   * `float32`.
   */
  readonly precision?: 'bfloat16' | 'float32';
  /**
   * Default: `PEFT_NUM_THREADS`, else all cores. Holds for the process. Results do not depend on
   * it.
   */
  readonly threads?: number;
}

const AS_STORED: Partial<Record<StoredDtype, 'f32' | 'f16' | 'bf16'>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
};

/**
 * Makes the engine that computes in C++ on this machine's processor, and registers its tfjs backend
 * `native` the first time; `activate()` makes that the current one.
 *
 * @returns the engine and its backend, whose `pool` says how much memory tensors take
 * @throws PEFT_NATIVE_UNAVAILABLE when the addon cannot be loaded; PEFT_CONFIG_INVALID for another
 *   precision, or `threads` outside 1 … 256; PEFT_THREADS_INVALID for an odd `PEFT_NUM_THREADS`;
 *   PEFT_NATIVE_ISA_UNAVAILABLE for a `PEFT_NATIVE_ISA` that this machine lacks
 * @example
 * const engine = createNativeEngine({ precision: 'float32' });
 * await engine.activate();
 * const weight = engine.freeze(memorySource('w', [2, 3], Float32Array.of(1, 0, 0, 0, 1, 0)));
 * engine.linear(tf.tensor2d([[5, 6, 7]]), weight).print(); // [[5, 6]]
 */
export function createNativeEngine(
  options: NativeEngineOptions = {},
): Engine & { readonly backend: NativeBackend } {
  if (options.precision !== undefined)
    check.oneOf('native', 'precision', options.precision, ['bfloat16', 'float32']);
  checkThreads(options.threads);
  const binding = loadBinding();
  if (options.threads !== undefined) binding.setThreads(options.threads);
  registerBackend(binding);
  const info = binding.info();
  const precision = options.precision ?? (info.bf16 ? 'bfloat16' : 'float32');
  return new NativeEngine(binding, precision);
}

function checkThreads(threads: number | undefined): void {
  if (threads === undefined) return;
  check.positiveInteger('native', 'threads', threads);
  if (threads > MOST_THREADS)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `native: threads must be at most ${MOST_THREADS}, got ${threads}.`,
    );
}

function registerBackend(binding: NativeBinding): void {
  if (tf.engine().registryFactory[NATIVE_BACKEND]) return;
  tf.registerBackend(NATIVE_BACKEND, () => new NativeBackend(binding));
  inheritKernels();
  registerProducts();
  registerElementwise((name) => tf.getKernel(name, 'cpu') !== undefined);
  registerShapes();
  registerNorms();
  registerActivations();
  registerAttention();
  registerRows();
  registerOptimizer();
  registerLayRows();
}

class NativeEngine implements Engine {
  readonly name = 'native';
  readonly backendName = NATIVE_BACKEND;
  readonly sizing = nativeSizing;
  readonly blocks: BlockCoder;

  constructor(
    readonly binding: NativeBinding,
    readonly precision: 'bfloat16' | 'float32',
  ) {
    this.blocks = blockCoder(binding);
  }

  get description(): string {
    const { instructionSet, threads } = this.binding.info();
    return `native (${instructionSet}, ${threads} thread${threads === 1 ? '' : 's'}, ${this.precision})`;
  }

  get backend(): NativeBackend {
    // registered under this name by registerBackend, as a NativeBackend
    return tf.findBackend(NATIVE_BACKEND) as unknown as NativeBackend;
  }

  async activate(): Promise<void> {
    await tf.setBackend(NATIVE_BACKEND);
    this.backend.bf16 = this.precision === 'bfloat16';
  }

  freeze(source: TensorSource, options: FreezeOptions = {}): FrozenWeight {
    const asStored = this.#stored(source, options.transposed ?? false);
    const held = this.binding.weightInfo(asStored).format;
    const { format = held as 'f32' | 'f16' | 'bf16' } = options; // what #stored makes
    const stored =
      options.transposed && isQuantizedFormat(format) ? this.#turned(asStored) : asStored;
    if (format === held) return new NativeWeight(this, source.name, stored);
    try {
      return new NativeWeight(
        this,
        source.name,
        this.binding.weightConvert(
          stored,
          format,
          options.blockSize ?? 64,
          options.doubleQuantization ?? false,
        ),
      );
    } finally {
      this.binding.weightFree(stored);
    }
  }

  freezeQuantized(parts: QuantizedParts): FrozenWeight {
    const [rows, columns] = matrixShape(parts.name, parts.shape);
    const { absmax } = parts;
    const nested = absmax instanceof Float32Array ? undefined : absmax;
    const handle = this.binding.weightFromParts(
      parts.format,
      rows,
      columns,
      false,
      parts.blockSize ?? 0,
      parts.packed,
      nested ? null : (absmax as Float32Array),
      nested?.codes ?? null,
      nested?.map ?? null,
      nested?.nestedAbsmax ?? null,
      nested?.nestedBlockSize ?? 0,
      nested?.offset ?? 0,
      parts.zeros ?? null,
    );
    return new NativeWeight(this, parts.name, handle);
  }

  quantizedParts(weight: FrozenWeight): QuantizedParts {
    const { handle } = this.#own(weight);
    const { format, rows, columns, blockSize } = this.binding.weightInfo(handle);
    if (format === 'f32' || format === 'f16' || format === 'bf16')
      throw new PeftError(
        'PEFT_WEIGHT_FORMAT',
        `native: ${weight.name} is stored as ${format}, which has no quantised parts.`,
      );
    const parts = this.binding.weightParts(handle);
    const { packed, absmax, absmaxCodes, nestedMap, nestedAbsmax } = parts;
    const scales = absmax ?? {
      codes: absmaxCodes!,
      map: nestedMap!,
      nestedAbsmax: nestedAbsmax!,
      nestedBlockSize: parts.nestedBlockSize!,
      offset: parts.nestedOffset!,
    };
    return {
      name: weight.name,
      format,
      shape: [rows, columns],
      packed,
      absmax: scales,
      blockSize: format === 'int8' ? undefined : blockSize,
      zeros: parts.zeros,
    };
  }

  linear(x: Tensor2D, weight: FrozenWeight, bias?: Tensor1D): Tensor2D {
    return linear(this, x, this.#own(weight), bias);
  }

  linearActivated(
    x: Tensor2D,
    weight: FrozenWeight,
    bias: Tensor1D | undefined,
    kind: ActivationName,
    keepSums: boolean,
  ): { y: Tensor2D; sums?: Tensor2D } {
    return linearActivated(this, x, this.#own(weight), bias, kind, keepSums);
  }

  linearAdded(
    x: Tensor2D,
    weight: FrozenWeight,
    bias: Tensor1D | undefined,
    added: AddedProduct,
  ): { y: Tensor2D; narrow: Tensor2D } {
    return linearAdded(this, x, this.#own(weight), bias, added);
  }

  linearAddedGradient(
    dy: Tensor2D,
    weight: FrozenWeight,
    added: AddedProduct,
    wanted: AddedGradientsWanted,
  ): AddedGradients {
    return linearAddedGradient(this, dy, this.#own(weight), added, wanted);
  }

  linearCrossEntropy(
    x: Tensor2D,
    weight: FrozenWeight,
    labels: Int32Array,
    options: OutputLayerOptions,
    withGradient: boolean,
  ): OnePassLoss | undefined {
    return outputLoss(this, x, this.#own(weight), labels, options, withGradient);
  }

  linearInputGradient(dy: Tensor2D, weight: FrozenWeight): Tensor2D {
    return linearInputGradient(this, dy, this.#own(weight));
  }

  gather(weight: FrozenWeight, ids: Int32Array): Tensor2D {
    const own = this.#own(weight);
    const [rows, columns] = own.shape as [number, number];
    const outside = ids.findIndex((id) => id < 0 || id >= rows);
    if (outside >= 0)
      throw new PeftError(
        'PEFT_TOKEN_ID_RANGE',
        `embed: index ${ids[outside]} at position ${outside} is outside the ${rows} rows of ${own.name}.`,
        {
          hint: 'the tokenizer and the model are probably not a pair, or a text is longer than the model allows',
        },
      );
    const y = this.backend.create([ids.length, columns]);
    own.read((handle) => this.binding.weightGather(handle, ids, y.values));
    return tf.engine().makeTensorFromTensorInfo(y.info) as Tensor2D;
  }

  dequantize(weight: FrozenWeight): Tensor {
    const own = this.#own(weight);
    const y = this.backend.create(own.shape);
    own.read((handle) => this.binding.weightDequantize(handle, y.values));
    return tf.engine().makeTensorFromTensorInfo(y.info);
  }

  dispose(): void {
    this.backend.pool.clear();
  }

  #own(weight: FrozenWeight): NativeWeight {
    if (!(weight instanceof NativeWeight) || weight.engine.binding !== this.binding)
      throw new PeftError(
        'PEFT_WEIGHT_ENGINE',
        `${weight.name}: the weight belongs to the engine "${weight.engine.name}", not to this one.`,
        { hint: 'load the model with the engine that runs it' },
      );
    return weight;
  }

  /**
   * A weight stored as `[in, out]` in the order `[out, in]`, in which it is quantised (as
   * transformers does with Conv1D). Frees the given one.
   */
  #turned(weight: WeightHandle): WeightHandle {
    try {
      const { rows, columns } = this.binding.weightInfo(weight);
      const values = new Float32Array(rows * columns);
      this.binding.weightDequantize(weight, values);
      return this.binding.weightFromBytes(
        new Uint8Array(values.buffer),
        'f32',
        rows,
        columns,
        false,
      );
    } finally {
      this.binding.weightFree(weight);
    }
  }

  /**
   * The weight in its stored format: mapped where the file holds it as it is, else copied; other
   * types become float32.
   */
  #stored(source: TensorSource, transposed: boolean): WeightHandle {
    const [first, second] = matrixShape(source.name, source.shape);
    const [rows, columns] = transposed ? [second, first] : [first, second];
    const format = AS_STORED[source.dtype];
    if (format && source.file)
      return this.binding.weightFromFile(
        source.file.path,
        source.file.byteOffset,
        format,
        rows,
        columns,
        transposed,
      );
    const { blocks } = source; // whatever the values are read as
    if (blocks && isBlockType(blocks.type))
      return this.binding.weightFromBlocks(blocks.type, blocks.read(), rows, columns, transposed);
    if (format)
      return this.binding.weightFromBytes(source.read(), format, rows, columns, transposed);
    const values = decodeFloat32(source.read(), source.dtype);
    return this.binding.weightFromBytes(
      new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
      'f32',
      rows,
      columns,
      transposed,
    );
  }
}
