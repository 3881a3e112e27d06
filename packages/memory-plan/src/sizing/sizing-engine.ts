/**
 * An engine that computes nothing: its weights know their size, its products make tensors without
 * values.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import type {
  Engine,
  FreezeOptions,
  FrozenWeight,
  QuantizedParts,
  StoredDtype,
  TensorSource,
  WeightFormat,
} from '@peft/ops';
import {
  backendNameOf,
  isTensorflow,
  registerSizingBackend,
  type SizingKind,
} from './register-sizing-kernels.js';
import type { SizingBackend } from './sizing-backend.js';
import { matrixPassing, rowsPassing } from './tensorflow-weight-passing.js';
import { weightBytes, type QuantizedSize } from './weight-bytes.js';

const AS_STORED: Partial<Record<StoredDtype, WeightFormat>> = { F16: 'f16', BF16: 'bf16' };

export class SizingWeight implements FrozenWeight {
  isDisposed = false;
  /**
   * What products and row reads made of it: the engine of references keeps a float32 matrix from
   * the first product on.
   */
  readonly uses = { product: false, rows: false };

  constructor(
    readonly engine: Engine,
    readonly name: string,
    readonly shape: readonly number[],
    readonly size: QuantizedSize,
    readonly kind: SizingKind,
  ) {}

  get format(): WeightFormat {
    return this.size.format;
  }

  get isQuantized(): boolean {
    return this.format === 'nf4' || this.format === 'fp4' || this.format === 'int8';
  }

  get byteLength(): number {
    return weightBytes(this.shape[0]!, this.shape[1]!, this.size);
  }

  /** Bytes that the weight takes after it was used as it was. */
  get residentBytes(): number {
    const [rows, columns] = this.shape as [number, number];
    if (this.kind !== 'references' || this.isQuantized || !this.uses.product)
      return this.byteLength;
    return 4 * rows * columns + (this.uses.rows ? this.byteLength : 0);
  }

  dispose(): void {
    this.isDisposed = true;
  }
}

export class SizingEngine implements Engine {
  readonly name = 'sizing';
  readonly description: string;
  readonly backendName: string;

  constructor(
    readonly kind: SizingKind,
    readonly precision: 'float32' | 'bfloat16' = 'float32',
  ) {
    this.backendName = registerSizingBackend(kind);
    this.description = `sizes only (${kind})`;
    if (kind !== 'tensorflow-compiled') this.linearActivated = undefined;
  }

  get backend(): SizingBackend {
    return tf.findBackend(this.backendName) as unknown as SizingBackend;
  }

  async activate(): Promise<void> {
    await tf.setBackend(backendNameOf(this.kind));
  }

  freeze(
    source: TensorSource,
    { format, transposed = false, blockSize, doubleQuantization }: FreezeOptions = {},
  ): FrozenWeight {
    const shape = transposed ? [...source.shape].reverse() : [...source.shape];
    return new SizingWeight(
      this,
      source.name,
      shape,
      {
        format: format ?? AS_STORED[source.dtype] ?? 'f32',
        blockSize,
        doubleQuantization,
      },
      this.kind,
    );
  }

  freezeQuantized({ name, shape, format, blockSize, absmax }: QuantizedParts): FrozenWeight {
    return new SizingWeight(
      this,
      name,
      shape,
      {
        format,
        doubleQuantization: !(absmax instanceof Float32Array),
        blockSize,
      },
      this.kind,
    );
  }

  quantizedParts(weight: FrozenWeight): QuantizedParts {
    throw new PeftError('PEFT_WEIGHT_FORMAT', `${weight.name}: a plan has no values.`);
  }

  linear(x: Tensor2D, weight: FrozenWeight, bias?: Tensor1D): Tensor2D {
    const own = this.#use(weight, 'product');
    if (isTensorflow(this.kind)) this.#passProduct(x, own, own.shape[0]!, bias ? 'bias' : 'alone');
    if (this.kind !== 'references') return this.#tensor([x.shape[0], own.shape[0]!]);
    return tf.tidy(() => {
      if (own.isQuantized) this.#tensor(own.shape);
      const y = this.#tensor([x.shape[0], own.shape[0]!]);
      return bias ? tf.add(y, bias) : y;
    });
  }

  linearActivated? = (
    x: Tensor2D,
    weight: FrozenWeight,
    _bias: Tensor1D | undefined,
    _kind: unknown,
    keepSums: boolean,
  ): { y: Tensor2D; sums?: Tensor2D } => {
    const own = this.#use(weight, 'product');
    const shape = [x.shape[0], own.shape[0]!];
    this.#passProduct(x, own, own.shape[0]!, keepSums ? 'activation and sums' : 'activation');
    const y = this.#tensor(shape);
    return keepSums ? { y, sums: this.#tensor(shape) } : { y };
  };

  linearInputGradient(dy: Tensor2D, weight: FrozenWeight): Tensor2D {
    const own = this.#use(weight, 'product');
    if (isTensorflow(this.kind)) this.#passProduct(dy, own, own.shape[1]!, 'alone');
    return tf.tidy(() => {
      if (this.kind === 'references' && own.isQuantized) this.#tensor(own.shape);
      return this.#tensor([dy.shape[0], own.shape[1]!]);
    });
  }

  gather(weight: FrozenWeight, ids: Int32Array): Tensor2D {
    const own = this.#use(weight, 'rows');
    if (isTensorflow(this.kind)) this.backend.pass(rowsPassing(own, ids.length));
    return this.#tensor([ids.length, own.shape[1]!]);
  }

  dequantize(weight: FrozenWeight): Tensor {
    if (isTensorflow(this.kind))
      this.backend.pass(
        matrixPassing(weight as SizingWeight, 'float32').most +
          4 * weight.shape[0]! * weight.shape[1]!,
      );
    return this.#tensor(weight.shape);
  }

  dispose(): void {
    // Nothing is held.
  }

  /** Operands of the product's type, the product in it, and what is made of it in float32. */
  #passProduct(
    x: Tensor2D,
    weight: SizingWeight,
    width: number,
    end: 'alone' | 'bias' | 'activation' | 'activation and sums',
  ): void {
    const narrow = this.precision === 'bfloat16' ? 2 : 0;
    const isCompiled = this.kind === 'tensorflow-compiled' && end !== 'alone';
    const perResult = isCompiled
      ? (narrow || 4) + (end === 'activation and sums' ? 8 : 4)
      : narrow + (end === 'bias' ? 8 : 4);
    const { most, left } = matrixPassing(weight, this.precision);
    // the weight first
    this.backend.pass(Math.max(most, left + narrow * x.size + x.shape[0] * width * perResult));
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
