/**
 * An engine that computes nothing: its weights know their size, its products make tensors without
 * values.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import {
  isQuantizedFormat,
  weightBytes,
  type AddedGradients,
  type AddedGradientsWanted,
  type AddedProduct,
  type Engine,
  type EngineSizing,
  type FreezeOptions,
  type FrozenWeight,
  type OnePassLoss,
  type QuantizedParts,
  type QuantizedSize,
  type SizedProduct,
  type SizedWeight,
  type StoredDtype,
  type TensorSource,
  type WeightFormat,
} from '@peft/ops';
import { registerSizingBackend } from './register-sizing-kernels.js';
import type { SizingBackend } from './sizing-backend.js';

const AS_STORED: Partial<Record<StoredDtype, WeightFormat>> = { F16: 'f16', BF16: 'bf16' };

export class SizingWeight implements FrozenWeight, SizedWeight {
  isDisposed = false;
  /** What products and row reads may have made of it. */
  readonly uses = { product: false, rows: false };

  constructor(
    readonly engine: SizingEngine,
    readonly name: string,
    readonly shape: readonly number[],
    readonly size: QuantizedSize,
  ) {}

  get format(): WeightFormat {
    return this.size.format;
  }

  get isQuantized(): boolean {
    return isQuantizedFormat(this.format);
  }

  get byteLength(): number {
    return weightBytes(this.shape[0]!, this.shape[1]!, this.size);
  }

  /** Bytes that the weight takes after it was used as it was. */
  get residentBytes(): number {
    return this.engine.sizes.weightBytes(this, this.uses);
  }

  dispose(): void {
    this.isDisposed = true;
  }
}

/** Stands in for the engine that says what it holds. */
export class SizingEngine implements Engine {
  readonly name = 'sizing';
  readonly precision = 'float32';
  readonly description: string;
  readonly backendName: string;

  constructor(
    /** What the engine holds. */
    readonly sizes: EngineSizing,
  ) {
    this.backendName = registerSizingBackend(sizes);
    this.description = `sizes only (${sizes.name})`;
    if (!sizes.hasActivatedProducts) this.linearActivated = undefined;
    if (!sizes.hasAddedProducts) this.linearAdded = this.linearAddedGradient = undefined;
    if (sizes.vocabularyChunk === undefined) this.linearCrossEntropy = undefined;
  }

  get backend(): SizingBackend {
    // registered under this name as one
    return tf.findBackend(this.backendName) as unknown as SizingBackend;
  }

  async activate(): Promise<void> {
    await tf.setBackend(this.backendName);
  }

  freeze(
    source: TensorSource,
    { format, transposed = false, blockSize, doubleQuantization }: FreezeOptions = {},
  ): FrozenWeight {
    const shape = transposed ? [...source.shape].reverse() : [...source.shape];
    return new SizingWeight(this, source.name, shape, {
      format: format ?? AS_STORED[source.dtype] ?? 'f32',
      blockSize,
      doubleQuantization,
    });
  }

  freezeQuantized({ name, shape, format, blockSize, absmax }: QuantizedParts): FrozenWeight {
    return new SizingWeight(this, name, shape, {
      format,
      doubleQuantization: !(absmax instanceof Float32Array),
      blockSize,
    });
  }

  quantizedParts(weight: FrozenWeight): QuantizedParts {
    throw new PeftError('PEFT_WEIGHT_FORMAT', `${weight.name}: a plan has no values.`);
  }

  linear(x: Tensor2D, weight: FrozenWeight, bias?: Tensor1D): Tensor2D {
    const own = this.#use(weight, 'product');
    return this.#product(x, own, own.shape[0]!, bias ? 'bias' : 'none');
  }

  linearActivated? = (
    x: Tensor2D,
    weight: FrozenWeight,
    _bias: Tensor1D | undefined,
    _kind: unknown,
    keepSums: boolean,
  ): { y: Tensor2D; sums?: Tensor2D } => {
    const own = this.#use(weight, 'product');
    const y = this.#product(x, own, own.shape[0]!, keepSums ? 'sums' : 'activation');
    return { y, sums: keepSums ? this.#tensor(y.shape) : undefined };
  };

  linearAdded? = (
    x: Tensor2D,
    weight: FrozenWeight,
    bias: Tensor1D | undefined,
    { a }: AddedProduct,
  ): { y: Tensor2D; narrow: Tensor2D } => ({
    narrow: this.#tensor([x.shape[0], a.shape[0]]),
    y: this.linear(x, weight, bias),
  });

  linearAddedGradient? = (
    dy: Tensor2D,
    weight: FrozenWeight,
    { a, b }: AddedProduct,
    { withX, x, narrow }: AddedGradientsWanted,
  ): AddedGradients => ({
    b: narrow && this.#tensor(b.shape),
    a: x && this.#tensor(a.shape),
    x: withX ? this.linearInputGradient(dy, weight) : undefined,
  });

  linearCrossEntropy? = (
    x: Tensor2D,
    weight: FrozenWeight,
    _labels: Int32Array,
    _options: unknown,
    withGradient: boolean,
  ): OnePassLoss => {
    const [vocabulary] = this.#use(weight, 'product').shape as [number, number];
    const chunk = Math.min(this.sizes.vocabularyChunk!, vocabulary);
    this.#tensor([x.shape[0], chunk]).dispose(); // logits of a chunk
    return {
      loss: this.#tensor([x.shape[0]]) as Tensor as Tensor1D,
      gradient: withGradient ? this.#tensor(x.shape) : undefined,
    };
  };

  linearInputGradient(dy: Tensor2D, weight: FrozenWeight): Tensor2D {
    const own = this.#use(weight, 'product');
    return this.#product(dy, own, own.shape[1]!, 'none');
  }

  gather(weight: FrozenWeight, ids: Int32Array): Tensor2D {
    const own = this.#use(weight, 'rows');
    this.backend.pass(this.sizes.rowsBytes(own, ids.length));
    return this.#tensor([ids.length, own.shape[1]!]);
  }

  dequantize(weight: FrozenWeight): Tensor {
    this.backend.pass(this.sizes.matrixBytes(weight as SizingWeight));
    return this.#tensor(weight.shape);
  }

  dispose(): void {
    // Nothing is held.
  }

  #product(x: Tensor2D, weight: SizingWeight, width: number, end: SizedProduct['end']): Tensor2D {
    const [rows, operandWidth] = x.shape;
    this.backend.pass(this.sizes.productBytes({ weight, rows, operandWidth, width, end }));
    return this.#tensor([rows, width]);
  }

  #use(weight: FrozenWeight, what: keyof SizingWeight['uses']): SizingWeight {
    const own = weight as SizingWeight;
    own.uses[what] = true;
    return own;
  }

  #tensor(shape: readonly number[]): Tensor2D {
    return tf.engine().makeTensorFromTensorInfo(this.backend.create(shape)) as Tensor2D;
  }
}
