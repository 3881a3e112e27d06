/** The engine on TensorFlow's own library, through tfjs-node: NVIDIA GPUs with CUDA, or the CPU. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { check, PeftError } from '@peft/errors';
import type {
  ActivationName,
  Engine,
  EngineSizing,
  FreezeOptions,
  FrozenWeight,
  QuantizedParts,
  TensorSource,
} from '@peft/ops';
import { TYPE } from './binding.js';
import { Device, type AnyTensor, type RawTensor } from './device.js';
import { describeDevice, hasFastBfloat16, type DeviceDescription } from './device-description.js';
import { probeGpus, visibleGpus } from './gpu/gpu-probe.js';
import { registerKernels } from './kernels/index.js';
import { loadBackend, TENSORFLOW_BACKEND, type LoadOptions } from './load-backend.js';
import { tensorflowSizing } from './sizing/tensorflow-sizing.js';
import { storeParts, storeSource } from './store-weight.js';
import { TensorflowWeight, wholeWeight } from './tensorflow-weight.js';

/** Which TensorFlow computes, and how. */
export interface TensorflowEngineOptions extends LoadOptions {
  /**
   * Operands of the products. Default `bfloat16` where the device has instructions for it, else
   * `float32`.
   */
  readonly precision?: 'bfloat16' | 'float32';
  /**
   * Refuses to start without a GPU that TensorFlow can use. Default false: the CPU computes then.
   */
  readonly requireGpu?: boolean;
}

/** What the engine computes on. */
export interface TensorflowEngine extends Engine {
  readonly device: DeviceDescription;
  /** What is on the device now. */
  memory(): DeviceMemory;
}

/** What TensorFlow holds. */
export interface DeviceMemory {
  /** Tensors that TensorFlow holds: weights, variables, activations. */
  readonly tensors: number;
  /**
   * Of the card, whoever uses it, as nvidia-smi says; undefined on a CPU. TensorFlow takes memory
   * as it is needed and keeps it.
   */
  readonly totalBytes?: number;
  readonly freeBytes?: number;
}

/**
 * Finds TensorFlow's library (see `findInstallation`), loads it once per process, and makes the
 * engine.
 *
 * @throws PEFT_TENSORFLOW_MISSING, PEFT_TENSORFLOW_INCOMPLETE, PEFT_TENSORFLOW_LOAD when there is
 *   no library that runs here; PEFT_GPU_MISSING, PEFT_GPU_DRIVER, PEFT_GPU_CUDA with `requireGpu`;
 *   PEFT_CONFIG_INVALID
 */
export async function createTensorflowEngine(
  options: TensorflowEngineOptions = {},
): Promise<TensorflowEngine> {
  check.knownKeys('tensorflow', options, ['precision', 'requireGpu', 'threads', 'fusedKernels']);
  if (options.precision !== undefined)
    check.oneOf('tensorflow', 'precision', options.precision, ['bfloat16', 'float32']);
  if (options.requireGpu !== undefined)
    check.boolean('tensorflow', 'requireGpu', options.requireGpu);
  const { backend, version, hasKernels } = loadBackend(options);
  const description = describeDevice(backend.isUsingGpuDevice, version);
  if (options.requireGpu && !backend.isUsingGpuDevice)
    throw (
      description.gpuProblem ??
      new PeftError('PEFT_GPU_MISSING', 'tensorflow: TensorFlow sees no GPU.', {
        hint: 'run: peft doctor',
      })
    );
  return new LibraryEngine(
    new Device(backend),
    options.precision ?? (hasFastBfloat16(description) ? 'bfloat16' : 'float32'),
    description,
    hasKernels,
  );
}

class LibraryEngine implements TensorflowEngine {
  readonly name = 'tensorflow';
  readonly backendName = TENSORFLOW_BACKEND;

  constructor(
    readonly library: Device,
    readonly precision: 'bfloat16' | 'float32',
    readonly device: DeviceDescription,
    readonly hasKernels: boolean,
  ) {
    if (!hasKernels) this.linearActivated = undefined;
  }

  get description(): string {
    return `tensorflow ${this.device.tensorflowVersion} (${this.device.name}, ${this.precision})`;
  }

  get sizing(): EngineSizing {
    const { precision, hasKernels } = this;
    return tensorflowSizing({ precision, hasKernels, isOnCard: this.device.kind === 'gpu' });
  }

  async activate(): Promise<void> {
    await tf.setBackend(TENSORFLOW_BACKEND);
    registerKernels(this.hasKernels ? this.library : undefined);
  }

  freeze(source: TensorSource, options: FreezeOptions = {}): FrozenWeight {
    const { stored, shape, format, byteLength } = storeSource(this.library, source, options);
    return new TensorflowWeight(this, this.library, source.name, shape, format, byteLength, stored);
  }

  freezeQuantized(parts: QuantizedParts): FrozenWeight {
    const { stored, shape, format, byteLength } = storeParts(this.library, parts);
    return new TensorflowWeight(this, this.library, parts.name, shape, format, byteLength, stored);
  }

  quantizedParts(weight: FrozenWeight): QuantizedParts {
    return this.#own(weight).parts();
  }

  linear(x: Tensor2D, weight: FrozenWeight, bias?: Tensor1D): Tensor2D {
    const own = this.#own(weight);
    if (x.shape[1] !== own.shape[1]) throw shapeError(own, 'linear', own.shape[1], x.shape);
    return this.library.scope(() => {
      if (this.hasKernels && bias)
        return this.#ended(this.#product(x, own, true), bias, 'none', false).y;
      const y = this.#floats(this.#product(x, own, true));
      return this.library.toTensor<Tensor2D>(
        bias
          ? this.library.run('BiasAdd', { T: { type: TYPE.float32 }, data_format: 'NHWC' }, [
              y,
              bias,
            ])
          : y,
      );
    });
  }

  /**
   * Only where the library has this package's kernels; elsewhere undefined, and the product and the
   * activation run one after the other.
   */
  linearActivated? = (
    x: Tensor2D,
    weight: FrozenWeight,
    bias: Tensor1D | undefined,
    kind: ActivationName,
    keepSums: boolean,
  ): { y: Tensor2D; sums?: Tensor2D } => {
    const own = this.#own(weight);
    if (x.shape[1] !== own.shape[1]) throw shapeError(own, 'linear', own.shape[1], x.shape);
    return this.library.scope(() => this.#ended(this.#product(x, own, true), bias, kind, keepSums));
  };

  linearInputGradient(dy: Tensor2D, weight: FrozenWeight): Tensor2D {
    const own = this.#own(weight);
    if (dy.shape[1] !== own.shape[0])
      throw shapeError(own, 'linearInputGradient', own.shape[0], dy.shape);
    return this.library.scope(() =>
      this.library.toTensor<Tensor2D>(this.#floats(this.#product(dy, own, false))),
    );
  }

  gather(weight: FrozenWeight, ids: Int32Array): Tensor2D {
    const own = this.#own(weight);
    const [rows] = own.shape;
    const outside = ids.findIndex((id) => id < 0 || id >= rows);
    if (outside >= 0) {
      throw new PeftError(
        'PEFT_TOKEN_ID_RANGE',
        `embed: index ${ids[outside]} at position ${outside} is outside the ${rows} rows of ${own.name}.`,
        {
          hint: 'the tokenizer and the model are probably not a pair, or a text is longer than the model allows',
        },
      );
    }
    return this.library.scope(() => this.library.toTensor<Tensor2D>(own.rows(ids)));
  }

  dequantize(weight: FrozenWeight): Tensor {
    return wholeWeight(this.#own(weight));
  }

  memory(): DeviceMemory {
    const card = this.device.kind === 'gpu' ? visibleGpus(probeGpus())[0] : undefined;
    return {
      tensors: this.library.binding.getNumOfTensors(),
      totalBytes: card?.totalBytes,
      freeBytes: card?.freeBytes,
    };
  }

  dispose(): void {
    // Weights free themselves; the library and its memory belong to the process.
  }

  get #type(): number {
    return this.precision === 'bfloat16' ? TYPE.bfloat16 : TYPE.float32;
  }

  /**
   * x·Wᵀ where `byColumns`, else x·W. Operands and result have the engine's precision; a product in
   * bfloat16 is rounded to it once.
   */
  #product(x: Tensor2D, weight: TensorflowWeight, byColumns: boolean): RawTensor {
    const { library } = this;
    const { values, transposed } = weight.matrix(this.#type);
    return library.matMul(
      library.cast(x, TYPE.float32, this.#type),
      values,
      this.#type,
      false,
      byColumns !== transposed,
    );
  }

  #floats(product: RawTensor): AnyTensor {
    return this.library.cast(product, this.#type, TYPE.float32);
  }

  /** z = product + bias and y = f(z) in float32, in one pass; z where `keepSums` asks for it. */
  #ended(
    product: RawTensor,
    bias: Tensor1D | undefined,
    kind: ActivationName | 'none',
    keepSums: boolean,
  ): { y: Tensor2D; sums?: Tensor2D } {
    const { library } = this;
    const attributes = { T: { type: this.#type }, kind, keep_sums: keepSums };
    const [y, sums] = library.runAll(
      'PeftProductEnd',
      attributes,
      [product, bias ?? library.floats(new Float32Array(0))],
      2,
    ) as [RawTensor, RawTensor];
    // else it goes with the scope
    return {
      y: library.toTensor(y),
      sums: keepSums ? library.toTensor<Tensor2D>(sums) : undefined,
    };
  }

  #own(weight: FrozenWeight): TensorflowWeight {
    if (!(weight instanceof TensorflowWeight) || weight.engine !== this) {
      throw new PeftError(
        'PEFT_WEIGHT_ENGINE',
        `${weight.name}: the weight belongs to the engine "${weight.engine.name}", not to this one.`,
        { hint: 'load the model with the engine that runs it' },
      );
    }
    if (weight.isDisposed)
      throw new PeftError('PEFT_WEIGHT_DISPOSED', `${weight.name}: the weight was disposed of.`, {
        hint: 'load the model again',
      });
    return weight;
  }
}

function shapeError(
  weight: TensorflowWeight,
  operation: string,
  width: number,
  got: readonly number[],
): PeftError {
  return new PeftError(
    'PEFT_SHAPE_MISMATCH',
    `${operation}: ${weight.name} takes [N, ${width}], got [${got.join(', ')}].`,
  );
}
