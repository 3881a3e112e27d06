/**
 * A frozen weight of the portable engine: stored bytes, and for products a float32 matrix on the
 * backend.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  isQuantizedFormat,
  type Engine,
  type FrozenWeight,
  type QuantizedParts,
  type WeightFormat,
} from '@peft/ops';
import { transpose, type StoredWeight } from './stored-weight.js';

/**
 * A weight in 16 or 32 bits becomes a float32 matrix at its first product and stays one; from then
 * on the matrix alone is held, unless rows were read before (a tied embedding needs both). A
 * quantised weight becomes a matrix for each product and is freed after it. The matrix is `[in,
 * out]`: with that tfjs's wasm backend multiplies without transposing, and keeps its packed form.
 */
export class PortableWeight implements FrozenWeight {
  readonly format: WeightFormat;
  readonly byteLength: number;
  #stored: StoredWeight | undefined;
  #matrix: Tensor2D | undefined;
  #rowsAreRead = false;
  #isDisposed = false;

  constructor(
    readonly engine: Engine,
    readonly name: string,
    readonly shape: readonly [number, number],
    stored: StoredWeight,
  ) {
    this.format = stored.format;
    this.byteLength = stored.byteLength;
    this.#stored = stored;
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  get parts(): QuantizedParts | undefined {
    return this.#stored?.parts;
  }

  /** Rows `first` … `first + count − 1` in float32, row-major. */
  rows(first: number, count: number): Float32Array {
    this.#rowsAreRead = true;
    this.#stored ??= this.#storedAgain();
    return this.#stored.rows(first, count);
  }

  /**
   * Calls `use` with the matrix as `[in, out]` (`transposed`) or `[out, in]`; a matrix made for
   * this call alone is freed by the caller's scope.
   */
  withMatrix(use: (matrix: Tensor2D, transposed: boolean) => Tensor2D): Tensor2D {
    const [out, width] = this.shape;
    if (isQuantizedFormat(this.format))
      return use(tf.tensor2d(this.#stored!.rows(0, out), [out, width]), false);
    if (!this.#matrix) {
      const stored = this.#stored!;
      this.#matrix = tf.keep(
        tf.tensor2d(stored.transposed ?? transpose(stored.rows(0, out), out, width), [width, out]),
      );
      if (!this.#rowsAreRead) this.#stored = undefined;
    }
    return use(this.#matrix, true);
  }

  dispose(): void {
    this.#matrix?.dispose();
    this.#matrix = undefined;
    this.#stored = undefined;
    this.#isDisposed = true;
  }

  /** From the matrix, once the bytes are gone: float32 as the products use them. */
  #storedAgain(): StoredWeight {
    const [out, width] = this.shape;
    const values = transpose(this.#matrix!.dataSync() as Float32Array, width, out);
    return {
      format: this.format,
      byteLength: this.byteLength,
      rows: (first, count) => values.slice(first * width, (first + count) * width),
    };
  }
}
