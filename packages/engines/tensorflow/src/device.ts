/**
 * Tensors of types that tfjs lacks (bfloat16, float16, packed bytes), on TensorFlow's device by
 * number.
 *
 * Whatever a `scope` makes is freed at its end, save what it returns: `tf.tidy` for these tensors.
 */
import { Tensor } from '@tensorflow/tfjs';
import {
  TYPE,
  type OpAttribute,
  type TensorflowBackend,
  type TensorflowBinding,
} from './binding.js';

export type TypeNumber = (typeof TYPE)[keyof typeof TYPE];

/** A tensor on the device that tfjs does not know. */
export class RawTensor {
  constructor(
    readonly id: number,
    readonly shape: readonly number[],
    readonly type: number,
  ) {}
}

/** One of ours or of tfjs. */
export type AnyTensor = RawTensor | Tensor;

export type Attributes = Readonly<
  Record<string, boolean | number | string | { readonly type: number } | { readonly float: number }>
>;

export class Device {
  readonly #scopes: Set<RawTensor>[] = [];

  constructor(readonly backend: TensorflowBackend) {}

  get binding(): TensorflowBinding {
    return this.backend.binding;
  }

  /**
   * Runs `body` and frees the raw tensors it made, save a returned one, which belongs to the
   * enclosing scope, or without one to the caller.
   */
  scope<T>(body: () => T): T {
    const made = new Set<RawTensor>();
    this.#scopes.push(made);
    let kept: T | undefined;
    try {
      kept = body();
      return kept;
    } finally {
      this.#scopes.pop();
      for (const tensor of made) {
        if (tensor !== kept) this.binding.deleteTensor(tensor.id);
        else this.#scopes.at(-1)?.add(tensor);
      }
    }
  }

  /** Little-endian elements, row-major, without a detour over float32. */
  upload(bytes: Uint8Array, type: TypeNumber, shape: readonly number[]): RawTensor {
    const size =
      bytes.byteLength /
      Math.max(
        1,
        shape.reduce((product, axis) => product * axis, 1),
      );
    if (type === TYPE.uint8)
      return this.#own(this.binding.createTensor(shape, TYPE.uint8, bytes), shape, type);
    return this.scope(() => {
      const plain = this.#own(
        this.binding.createTensor(size === 1 ? shape : [...shape, size], TYPE.uint8, bytes),
        shape,
        TYPE.uint8,
      );
      return this.run('Bitcast', { T: { type: TYPE.uint8 }, type: { type } }, [plain]);
    });
  }

  /** int32 values in host memory, where TensorFlow wants its sizes and axes. */
  integers(
    values: Int32Array | readonly number[],
    shape: readonly number[] = [values.length],
  ): RawTensor {
    return this.#own(
      this.binding.createTensor(
        shape,
        TYPE.int32,
        values instanceof Int32Array ? values : Int32Array.from(values),
      ),
      shape,
      TYPE.int32,
    );
  }

  floats(values: Float32Array, shape: readonly number[] = [values.length]): RawTensor {
    return this.#own(this.binding.createTensor(shape, TYPE.float32, values), shape, TYPE.float32);
  }

  /**
   * The first output of a TensorFlow operation. Attributes that are types are `{ type }`, real
   * numbers `{ float }`.
   */
  run(name: string, attributes: Attributes, inputs: readonly AnyTensor[]): RawTensor {
    return this.runAll(name, attributes, inputs, 1)[0]!;
  }

  runAll(
    name: string,
    attributes: Attributes,
    inputs: readonly AnyTensor[],
    outputs: number,
  ): RawTensor[] {
    const ids = inputs.map((input) =>
      input instanceof RawTensor ? input.id : this.backend.getInputTensorIds([input])[0]!,
    );
    const made = this.binding.executeOp(name, this.#attributes(attributes), ids, outputs);
    return made.map(({ id, shape, dtype }) => this.#own(id, shape, dtype));
  }

  cast(x: AnyTensor, from: number, to: number): AnyTensor {
    return from === to
      ? x
      : this.run('Cast', { SrcT: { type: from }, DstT: { type: to }, Truncate: false }, [x]);
  }

  /** A view of other shape. */
  reshape(x: RawTensor, shape: readonly number[]): RawTensor {
    return this.run('Reshape', { T: { type: x.type }, Tshape: { type: TYPE.int32 } }, [
      x,
      this.integers(shape),
    ]);
  }

  /** op(a)·op(b), both of `type`: `[rows of op(a), columns of op(b)]` in the same type. */
  matMul(
    a: AnyTensor,
    b: AnyTensor,
    type: number,
    transposeA: boolean,
    transposeB: boolean,
  ): RawTensor {
    return this.run('MatMul', { T: { type }, transpose_a: transposeA, transpose_b: transposeB }, [
      a,
      b,
    ]);
  }

  /**
   * Hands a float32, int32 or bool tensor over to tfjs, whose enclosing tidy scope or caller owns
   * it from here on.
   */
  toTensor<T extends Tensor>(raw: AnyTensor): T {
    if (raw instanceof Tensor) return raw as T;
    for (const scope of this.#scopes) scope.delete(raw);
    return this.backend.createOutputTensor({
      id: raw.id,
      shape: [...raw.shape],
      dtype: raw.type,
    }) as T;
  }

  /** Takes a tensor out of its scope: the caller frees it. */
  keep(raw: RawTensor): RawTensor {
    for (const scope of this.#scopes) scope.delete(raw);
    return raw;
  }

  free(raw: RawTensor): void {
    this.keep(raw);
    this.binding.deleteTensor(raw.id);
  }

  #own(id: number, shape: readonly number[], type: number): RawTensor {
    const tensor = new RawTensor(id, shape, type);
    this.#scopes.at(-1)?.add(tensor);
    return tensor;
  }

  #attributes(attributes: Attributes): OpAttribute[] {
    const { TF_ATTR_BOOL, TF_ATTR_FLOAT, TF_ATTR_INT, TF_ATTR_STRING, TF_ATTR_TYPE } = this.binding;
    return Object.entries(attributes).map(([name, value]) => {
      if (typeof value === 'boolean') return { name, type: TF_ATTR_BOOL, value };
      if (typeof value === 'number') return { name, type: TF_ATTR_INT, value };
      if (typeof value === 'string') return { name, type: TF_ATTR_STRING, value };
      return 'type' in value
        ? { name, type: TF_ATTR_TYPE, value: value.type }
        : { name, type: TF_ATTR_FLOAT, value: value.float };
    });
  }
}
