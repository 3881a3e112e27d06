/** Values of a GGUF file's metadata and the types that they are stored in. */

/** Types of single values by the number that a file has for them. */
export const VALUE_TYPES = Object.freeze([
  'u8',
  'i8',
  'u16',
  'i16',
  'u32',
  'i32',
  'f32',
  'bool',
  'string',
  'array',
  'u64',
  'i64',
  'f64',
] as const);

export type ValueType = (typeof VALUE_TYPES)[number];
export type ScalarType = Exclude<ValueType, 'array'>;
/** A single value of GGUF's metadata. */
export type GgufScalar = number | boolean | string;
/** A value of GGUF's metadata, single or an array. */
export type GgufValue = GgufScalar | readonly GgufScalar[];

/** A value to be written. */
export interface GgufEntry {
  readonly key: string;
  /** Of the value, or of an array's elements. */
  readonly type: ScalarType;
  readonly value: GgufValue;
}

/** Bytes of a value; a string's are its length field. */
export const VALUE_BYTES: Readonly<Record<ScalarType, number>> = Object.freeze({
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  string: 8,
  u64: 8,
  i64: 8,
  f64: 8,
});

export const MAGIC = 'GGUF';
export const VERSION = 3;
/** Of the data, where `general.alignment` says nothing else. */
export const ALIGNMENT = 32;
