/**
 * Attention forward: a workgroup has a few queries of one head and walks over their keys, 64 at a
 * time. Scores of a step are in workgroup memory; the running maximum, sum and result are corrected
 * as larger scores come (Milakov and Gimelshein 2018), so that memory is linear in the length.
 */
import type { KernelSource } from '../../gpu/kernel-source.js';
import {
  blockOf,
  COUNTS,
  isDisentangled,
  ITEM,
  NUMBERS,
  productText,
  scoreFunctions,
  STEP,
  variantName,
  type Variant,
} from './scores.js';

/** A loop over the queries or keys of a block, `n` being the one. */
export const overBlock = (block: number, body: string): string =>
  `for (var n = 0u; n < ${block}u; n++) { ${body} }`;

/** A loop over the elements of a head that a thread has: `e`, and `p` its number. */
export const overElements = (size: number, body: string): string =>
  `for (var p = 0u; p < ${Math.ceil(size / STEP)}u; p++) {
      let e = local + p * ${STEP}u;
      if (e < ${size}u) { ${body} }
    }`;

/** Rows of the position tables for `distance`, where a variant has them. */
export const tableRows = (
  { contentToPosition, positionToContent, size }: Variant,
  distance: string,
): string =>
  [
    contentToPosition ? `near[n] = (table_row(${distance}) * heads + head) * ${size}u;` : '',
    positionToContent ? `far[n] = (second_row(${distance}) * heads + head) * ${size}u;` : '',
  ].join(' ');

/** The first and the last step that a block of queries has anything to see in. */
export const columnRange = ({ causal, hasWindow }: Variant): string => `
  let allColumns = extra + keys;
  ${causal ? 'let end = min(allColumns, extra + u32(max(0, position + i32(count))));' : 'let end = allColumns;'}
  var begin = 0u;
  ${
    causal && hasWindow
      ? `if (extra == 0u) { begin = u32(max(0, position - i32(window) + 1)) / ${STEP}u * ${STEP}u; }`
      : ''
  }`;

/** `item` of a block of queries: see `queryBlocks`. */
export const QUERY_ITEM = `
  let number = group.y * groups.x + group.x;
  let head = number % heads;
  let item = min(number / heads, blocks - 1u) * ${ITEM}u;
  let row = u32(items[item]);
  let count = select(u32(items[item + 1u]), 0u, number / heads >= blocks);
  let position = items[item + 2u];
  let keyRow = u32(items[item + 3u]);
  let keys = u32(items[item + 4u]);
  let keyHead = head / (heads / keyHeads);`;

export function forwardSource(variant: Variant): KernelSource {
  const { size, hasBias } = variant;
  const block = blockOf(size);
  const parts = Math.ceil(size / STEP);
  const lanes = STEP / block;
  return {
    name: `attention (${variantName(variant)})`,
    inputs: [
      'q',
      'k',
      'v',
      ...(hasBias ? ['bias'] : []),
      ...(isDisentangled(variant) ? ['tables'] : []),
      'items: i32',
    ],
    outputs: ['y', 'logSumExps'],
    counts: ['blocks', ...COUNTS],
    numbers: NUMBERS,
    threads: STEP,
    declarations: `
var<workgroup> queries: array<f32, ${block * size}>;
var<workgroup> scores: array<f32, ${block * STEP}>;
var<workgroup> partial: array<f32, ${STEP}>;
var<workgroup> largest: array<f32, ${block}>;
var<workgroup> sums: array<f32, ${block}>;
var<workgroup> corrections: array<f32, ${block}>;
${scoreFunctions(variant)}`,
    body: `${QUERY_ITEM}
  for (var n = local; n < count * ${size}u; n += ${STEP}u) {
    queries[n] = q[((row + n / ${size}u) * heads + head) * ${size}u + n % ${size}u];
  }
  if (local < ${block}u) { largest[local] = -3.0e38; sums[local] = 0.0; }
  var own = array<f32, ${block * parts}>();
  ${columnRange(variant)}
  workgroupBarrier();
  let mine = local / ${lanes}u;
  let lane = local % ${lanes}u;
  for (var column = begin; column < end; column += ${STEP}u) {
    let c = column + local;
    let j = i32(c) - i32(extra);
    let keyAt = ((select(keyRow + c - extra, c, c < extra)) * keyHeads + keyHead) * ${size}u;
    var z = array<f32, ${block}>();
    var near = array<u32, ${block}>();
    var far = array<u32, ${block}>();
    if (c < end) {
      ${isDisentangled(variant) ? overBlock(block, tableRows(variant, 'position + i32(n) - j')) : ''}
      for (var e = 0u; e < ${size}u; e++) {
        let key = k[keyAt + e];
        ${overBlock(block, productText(variant, 'z[n]', `queries[n * ${size}u + e]`, 'key', 'near[n]', 'far[n]'))}
      }
    }
    ${overBlock(
      block,
      `let i = position + i32(n);
      let isVisible = c < end && n < count && is_seen(i, j);
      scores[n * ${STEP}u + local] = select(-3.4e38, score_of(z[n], i, j, head), isVisible);`,
    )}
    workgroupBarrier();
    var most = -3.4e38;
    for (var n = lane; n < ${STEP}u; n += ${lanes}u) { most = max(most, scores[mine * ${STEP}u + n]); }
    partial[local] = most;
    workgroupBarrier();
    let before = largest[mine];
    most = before;
    for (var n = 0u; n < ${lanes}u; n++) { most = max(most, partial[mine * ${lanes}u + n]); }
    workgroupBarrier();
    var sum = 0.0;
    for (var n = lane; n < ${STEP}u; n += ${lanes}u) {
      let s = scores[mine * ${STEP}u + n];
      var p = 0.0;
      if (s > -3.2e38) { p = exp_of(s - most); }
      sum += p;
      scores[mine * ${STEP}u + n] = p * kept_of(row + mine, head, column + n);
    }
    partial[local] = sum;
    workgroupBarrier();
    if (lane == 0u) {
      var total = 0.0;
      for (var n = 0u; n < ${lanes}u; n++) { total += partial[mine * ${lanes}u + n]; }
      let correction = exp_of(before - most);
      corrections[mine] = correction;
      sums[mine] = sums[mine] * correction + total;
      largest[mine] = most;
    }
    workgroupBarrier();
    let there = min(${STEP}u, end - column);
    ${overElements(
      size,
      `
        ${overBlock(block, `own[n * ${parts}u + p] *= corrections[n];`)}
        for (var t = 0u; t < there; t++) {
          let other = column + t;
          let place = select(keyRow + other - extra, other, other < extra);
          let value = v[(place * keyHeads + keyHead) * ${size}u + e];
          ${overBlock(block, `own[n * ${parts}u + p] += scores[n * ${STEP}u + t] * value;`)}
        }`,
    )}
    workgroupBarrier();
  }
  for (var n = 0u; n < count; n++) {
    ${overElements(size, `y[((row + n) * heads + head) * ${size}u + e] = own[n * ${parts}u + p] / sums[n];`)}
  }
  if (local < count) { logSumExps[(row + local) * heads + head] = largest[local] + log(sums[local]); }`,
  };
}
