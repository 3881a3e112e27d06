/** Moving elements and changing their type: cpp/binding/shapes.cc. */

type F32 = Float32Array;

/** Transposition, copies of rows, casts. */
export interface ShapeFunctions {
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
}
