/** Elementwise operations and reductions over the last axis: cpp/binding/elementwise.cc. */

type F32 = Float32Array;

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

/** Elementwise operations, reductions and softmax. */
export interface ElementwiseFunctions {
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
}
