/** The engine on WebGPU: frozen weights in their stored form on the card, kernels in WGSL. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D, TensorInfo } from '@tensorflow/tfjs';
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
import { WEBGPU_BACKEND, WebgpuBackend } from './backend/webgpu-backend.js';
import type { AdapterDescription } from './device/adapters.js';
import { findGpu } from './device/find-gpu.js';
import { openDevice } from './device/open-device.js';
import type { PoolUsage } from './gpu/buffer-pool.js';
import type { StreamCounts, TransferCounts } from './gpu/command-stream.js';
import { registerKernels } from './kernels/register-kernels.js';
import { storeParts, storeSource } from './weights/store-weight.js';
import type { StoredWeight } from './weights/stored-weight.js';
import { weightMatrix, weightProduct, weightRows } from './weights/weight-products.js';
import { WebgpuWeight } from './weights/webgpu-weight.js';
import { webgpuSizing } from './webgpu-sizing.js';

/** Where the engine computes. */
export interface WebgpuEngineOptions {
  /**
   * Another WebGPU than the page's or Dawn's. The device is opened once in a process: what comes
   * later than the first engine must be the same.
   */
  readonly gpu?: GPU;
  /**
   * Weights of more bytes are split. Default, and at most, what the device binds at a time.
   */
  readonly maxBindingBytes?: number;
}

/** What was computed, moved and held so far, in this process. */
export interface WebgpuUsage {
  readonly work: StreamCounts;
  readonly transfers: TransferCounts;
  readonly memory: PoolUsage;
}

/** The engine, and what it computes on. */
export interface WebgpuEngine extends Engine {
  readonly adapter: AdapterDescription;
  usage(): WebgpuUsage;
}

interface Opened {
  readonly gpu: GPU;
  readonly backend: WebgpuBackend;
  readonly adapter: AdapterDescription;
}

let opened: Promise<Opened> | undefined;

/**
 * Opens the fastest adapter's device, once in a process, and makes the engine; `activate()` makes
 * its tfjs backend the current one. A lost device is opened anew by the next engine.
 *
 * @returns the engine; its `description` names the adapter
 * @throws PEFT_WEBGPU_MISSING where there is no WebGPU; PEFT_WEBGPU_NO_ADAPTER where no driver offers
 *   an adapter; PEFT_CONFIG_INVALID for an unknown option
 * @example
 * const engine = await createWebgpuEngine();
 * await engine.activate();
 * const weight = engine.freeze(memorySource('w', [2, 3], Float32Array.of(1, 0, 0, 0, 1, 0)));
 * console.log(await engine.linear(tf.tensor2d([[5, 6, 7]]), weight).data()); // 5, 6
 */
export async function createWebgpuEngine(options: WebgpuEngineOptions = {}): Promise<WebgpuEngine> {
  check.knownKeys('webgpu', options, ['gpu', 'maxBindingBytes']);
  const { gpu, maxBindingBytes } = options;
  if (maxBindingBytes !== undefined)
    check.positiveInteger('webgpu', 'maxBindingBytes', maxBindingBytes);
  const before = opened;
  const there = await before?.catch(() => undefined);
  const isUsable = there && !there.backend.failure.isLost;
  // another engine may have opened it meanwhile
  if (!isUsable && opened === before) opened = open(gpu);
  const { backend, adapter, gpu: first } = await opened!;
  if (gpu && gpu !== first)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      'webgpu: gpu is another than that of the first engine in this process.',
      { hint: 'open one device in a process' },
    );
  const most = backend.pool.largestBlock;
  return new CardEngine(backend, adapter, Math.min(maxBindingBytes ?? most, most));
}

async function open(asked: GPU | undefined): Promise<Opened> {
  const gpu = asked ?? (await findGpu());
  const { device, failure, adapter } = await openDevice(gpu);
  if (tf.engine().registryFactory[WEBGPU_BACKEND]) tf.removeBackend(WEBGPU_BACKEND);
  const backend = new WebgpuBackend(device, failure);
  // nothing switches to it by itself
  tf.registerBackend(WEBGPU_BACKEND, () => backend, 0);
  registerKernels();
  return { gpu, backend, adapter };
}

class CardEngine implements WebgpuEngine {
  readonly name = 'webgpu';
  readonly backendName = WEBGPU_BACKEND;
  readonly precision = 'float32';

  constructor(
    readonly backend: WebgpuBackend,
    readonly adapter: AdapterDescription,
    private readonly maxBindingBytes: number,
  ) {}

  get description(): string {
    const { name, isSoftware } = this.adapter;
    return `webgpu (${name}${isSoftware ? ', in software' : ''}, float32)`;
  }

  get sizing(): EngineSizing {
    return webgpuSizing;
  }

  usage(): WebgpuUsage {
    const { stream, pool } = this.backend;
    return { work: stream.counts, transfers: stream.transfers, memory: pool.usage };
  }

  async activate(): Promise<void> {
    await tf.setBackend(WEBGPU_BACKEND);
  }

  freeze(source: TensorSource, options: FreezeOptions = {}): FrozenWeight {
    return this.#weight(
      source.name,
      storeSource(this.backend, source, options, this.maxBindingBytes),
    );
  }

  freezeQuantized(parts: QuantizedParts): FrozenWeight {
    return this.#weight(parts.name, storeParts(this.backend, parts, this.maxBindingBytes));
  }

  quantizedParts(weight: FrozenWeight): QuantizedParts {
    return this.#own(weight).parts();
  }

  linear(x: Tensor2D, weight: FrozenWeight, bias?: Tensor1D): Tensor2D {
    const own = this.#own(weight);
    requireWidth(own, 'linear', own.shape[1], x);
    return this.#tensor(weightProduct(this.backend, x, own.stored, true, { bias }).y);
  }

  linearActivated(
    x: Tensor2D,
    weight: FrozenWeight,
    bias: Tensor1D | undefined,
    kind: ActivationName,
    keepSums: boolean,
  ): { y: Tensor2D; sums?: Tensor2D } {
    const own = this.#own(weight);
    requireWidth(own, 'linear', own.shape[1], x);
    const { y, sums } = weightProduct(this.backend, x, own.stored, true, { bias, kind, keepSums });
    return { y: this.#tensor(y), sums: sums && this.#tensor(sums) };
  }

  linearInputGradient(dy: Tensor2D, weight: FrozenWeight): Tensor2D {
    const own = this.#own(weight);
    requireWidth(own, 'linearInputGradient', own.shape[0], dy);
    return this.#tensor(weightProduct(this.backend, dy, own.stored, false).y);
  }

  gather(weight: FrozenWeight, ids: Int32Array): Tensor2D {
    const own = this.#own(weight);
    const [rows] = own.shape;
    const outside = ids.findIndex((id) => id < 0 || id >= rows);
    if (outside >= 0)
      throw new PeftError(
        'PEFT_TOKEN_ID_RANGE',
        `embed: index ${ids[outside]} at position ${outside} is outside the ${rows} rows of ${own.name}.`,
        {
          hint: 'the tokenizer and the model are probably not a pair, or a text is longer than the model allows',
        },
      );
    const { backend } = this;
    return this.#tensor(weightRows(backend, own.stored, backend.uploads.of(ids), ids.length));
  }

  dequantize(weight: FrozenWeight): Tensor {
    return this.#tensor(weightMatrix(this.backend, this.#own(weight).stored));
  }

  dispose(): void {
    // Weights free themselves; the device is shared with the engines that come later.
    this.backend.uploads.clear();
    this.backend.pool.clear();
  }

  #weight(name: string, stored: StoredWeight): WebgpuWeight {
    return new WebgpuWeight(this, this.backend, name, stored);
  }

  /** On the device, whatever backend is the current one. */
  #tensor(info: TensorInfo): Tensor2D {
    return tf.engine().makeTensorFromTensorInfo(info, this.backend) as Tensor2D;
  }

  #own(weight: FrozenWeight): WebgpuWeight {
    if (!(weight instanceof WebgpuWeight) || (weight.engine as CardEngine).backend !== this.backend)
      throw new PeftError(
        'PEFT_WEIGHT_ENGINE',
        `${weight.name}: the weight belongs to the engine "${weight.engine.name}", not to this one.`,
        { hint: 'load the model with the engine that runs it' },
      );
    // its disposal is told before a shape is
    if (weight.isDisposed) void weight.stored;
    return weight;
  }
}

function requireWidth(
  weight: WebgpuWeight,
  operation: string,
  width: number,
  { shape }: Tensor2D,
): void {
  if (shape[1] !== width)
    throw new PeftError(
      'PEFT_SHAPE_MISMATCH',
      `${operation}: ${weight.name} takes [N, ${width}], got [${shape.join(', ')}].`,
    );
}
