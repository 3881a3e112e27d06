/** What the kernels of attention have in common: who sees whom, and how a score is made of a product. */
import { EXP, MATHS } from '../../backend/functions.js';
import { RANDOM } from '../fused/activations.js';

/** What is compiled into a kernel. */
export interface Variant {
  /** E, the width of a head. */
  readonly size: number;
  readonly causal: boolean;
  readonly hasWindow: boolean;
  readonly hasCap: boolean;
  readonly hasBias: boolean;
  readonly hasDropout: boolean;
  /** Disentangled attention's terms. */
  readonly contentToPosition: boolean;
  readonly positionToContent: boolean;
}

export const variantName = (variant: Variant): string =>
  Object.entries(variant)
    .flatMap(([name, value]) => {
      if (value === false) return [];
      return [value === true ? name : `${name} ${value as number}`];
    })
    .join(', ');

/** Columns of keys (or rows of queries) that a workgroup of as many threads looks at in one step. */
export const STEP = 64;
/** Queries (or keys) of a workgroup: as many as its memory has room for at heads so wide. */
export function blockOf(size: number): number {
  if (size <= 128) return 8;
  if (size <= 256) return 4;
  return size <= 512 ? 2 : 1;
}

/** Elements of an item in `items`: one block of queries or keys, then the tables of distances. */
export const ITEM = 8;

/** Counts that every kernel of attention is told. */
export const COUNTS = [
  'heads',
  'keyHeads',
  'extra',
  'columns',
  'window',
  'biasWidth',
  'tableStart',
  'tableLength',
  'tableOrigin',
  'secondTableStart',
  'secondTableLength',
  'secondRows',
  'word0',
  'word1',
  'least',
  'distances',
  'firstDistance',
  'sequences',
] as const;
export const NUMBERS = ['scale', 'softCap', 'kept'] as const;

/** Whether both of DeBERTa's terms, or one, are among the scores. */
export const isDisentangled = (variant: Variant): boolean =>
  variant.contentToPosition || variant.positionToContent;

/**
 * WGSL functions on positions i of a query and j of a key, j < 0 being an extra one. `items`, and of
 * variants that have them `bias` and `tables`, are buffers.
 */
export function scoreFunctions(variant: Variant): string {
  const { causal, hasWindow, hasCap, hasBias, hasDropout } = variant;
  const window = 'i32(p_window())';
  let visible = hasWindow ? `2 * abs(i - j) <= ${window}` : 'true';
  if (causal) visible = `j <= i${hasWindow ? ` && j > i - ${window}` : ''}`;
  return `
${hasCap ? MATHS : EXP}
${hasDropout ? RANDOM : ''}
fn is_seen(i: i32, j: i32) -> bool { return j < 0 || (${visible}); }
fn table_row(distance: i32) -> u32 {
  return u32(items[p_tableStart() + u32(clamp(distance + i32(p_tableOrigin()), 0, i32(p_tableLength()) - 1))]);
}
fn second_row(distance: i32) -> u32 {
  return p_secondRows() + u32(items[p_secondTableStart() + u32(clamp(distance + i32(p_tableOrigin()), 0, i32(p_secondTableLength()) - 1))]);
}
fn score_of(z: f32, i: i32, j: i32, head: u32) -> f32 {
  var s = z * p_scale();
  ${hasCap ? 's = p_softCap() * tanh_of(s / p_softCap());' : ''}
  ${hasBias ? 'if (j >= 0) { s += bias[head * p_biasWidth() + table_row(j - i)]; }' : ''}
  return s;
}
fn slope_of_score(z: f32) -> f32 {
  ${hasCap ? 'let t = tanh_of(z * p_scale() / p_softCap()); return p_scale() * (1.0 - t * t);' : 'return p_scale();'}
}
fn kept_of(row: u32, head: u32, column: u32) -> f32 {
  ${
    hasDropout
      ? 'return select(0.0, p_kept(), random_24((row * p_heads() + head) * p_columns() + column, p_word0(), p_word1()) >= p_least());'
      : 'return 1.0;'
  }
}`;
}

/**
 * Statements that add to `product` what element e of query `query` and key `key` gives, the tables'
 * rows for their distance being `near` and `far`.
 */
export function productText(
  { contentToPosition, positionToContent }: Variant,
  product: string,
  query: string,
  key: string,
  near: string,
  far: string,
): string {
  const second = contentToPosition ? `(${key} + tables[${near} + e])` : key;
  const third = positionToContent ? ` + ${key} * tables[${far} + e]` : '';
  return `${product} += ${query} * ${second}${third};`;
}
