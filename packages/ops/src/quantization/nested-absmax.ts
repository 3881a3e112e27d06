/**
 * Double quantisation (Dettmers et al. 2023): the block maxima of a 4-bit weight, less their mean,
 * become signed dynamic 8-bit numbers in blocks of 256. absmax_i ≈
 * map[code_i]·nestedAbsmax[⌊i/256⌋] + offset.
 */
import type { NestedAbsmax } from '../weights/engine.js';
import { dequantizeBlockwise, dynamicMap, quantizeBlockwise } from './dynamic-map.js';

const NESTED_BLOCK_SIZE = 256;

/**
 * Quantises block maxima once more, to 8 bits in blocks of 256 after their mean was taken off, as
 * bitsandbytes' double quantisation does (Dettmers et al. 2023, section 3).
 */
export function nestAbsmax(absmax: Float32Array): NestedAbsmax {
  const offset = Math.fround(absmax.reduce((sum, value) => sum + value, 0) / absmax.length);
  const map = dynamicMap(true);
  const { codes, absmax: nestedAbsmax } = quantizeBlockwise(
    absmax.map((value) => value - offset),
    map,
    NESTED_BLOCK_SIZE,
  );
  return { codes, map, nestedAbsmax, nestedBlockSize: NESTED_BLOCK_SIZE, offset };
}

/** The block maxima in float32. */
export function expandAbsmax({
  codes,
  map,
  nestedAbsmax,
  nestedBlockSize,
  offset,
}: NestedAbsmax): Float32Array {
  return dequantizeBlockwise(codes, nestedAbsmax, map, nestedBlockSize).map(
    (value) => value + offset,
  );
}
