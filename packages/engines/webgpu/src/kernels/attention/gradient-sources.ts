/**
 * The gradient of attention in three kernels that compute the probabilities again: one over blocks
 * of queries for dq, one over blocks of keys for dk and dv, and one over the diagonals of equal
 * distance for what is shared by distance (a bias, DeBERTa's position tables). Each element of a
 * gradient is added up by one thread in a fixed order.
 *
 * `stats` holds logΣexp and δ = dy·y of each query and head.
 */
import type { KernelSource } from '../../gpu/kernel-source.js';
import { columnRange, overBlock, overElements, QUERY_ITEM, tableRows } from './forward-source.js';
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

/** stats[n, h] = (logΣexp, Σ_e dy·y). */
export const statsSource = (size: number): KernelSource => ({
  name: `attention stats ${size}`,
  inputs: ['y', 'dy', 'logSumExps'],
  outputs: ['stats'],
  counts: ['rows'],
  body: `
  if (index >= rows) { return; }
  var sum = 0.0;
  for (var e = 0u; e < ${size}u; e++) { sum += y[index * ${size}u + e] * dy[index * ${size}u + e]; }
  stats[2u * index] = logSumExps[index];
  stats[2u * index + 1u] = sum;`,
});

const inputsOf = (variant: Variant): string[] => [
  'q',
  'k',
  'v',
  ...(variant.hasBias ? ['bias'] : []),
  ...(isDisentangled(variant) ? ['tables'] : []),
  'stats',
  'dy',
  'items: i32',
];

/** What a score is multiplied with for dq: the key, and its row of the position keys. */
const keyOf = ({ contentToPosition, size }: Variant): string =>
  contentToPosition ? `(key + tables[(table_row(distance) * heads + head) * ${size}u + e])` : 'key';

/** And for dk. */
const queryOf = ({ positionToContent, size }: Variant): string =>
  positionToContent
    ? `(one + tables[(second_row(distance) * heads + head) * ${size}u + e])`
    : 'one';

export function queryGradientSource(variant: Variant): KernelSource {
  const { size } = variant;
  const block = blockOf(size);
  const parts = Math.ceil(size / STEP);
  return {
    name: `attention dq (${variantName(variant)})`,
    inputs: inputsOf(variant),
    outputs: ['dq'],
    counts: ['blocks', ...COUNTS],
    numbers: NUMBERS,
    threads: STEP,
    declarations: `
var<workgroup> queries: array<f32, ${block * size}>;
var<workgroup> gradients: array<f32, ${block * size}>;
var<workgroup> products: array<f32, ${block * STEP}>;
${scoreFunctions(variant)}`,
    body: `${QUERY_ITEM}
  for (var n = local; n < count * ${size}u; n += ${STEP}u) {
    let at = ((row + n / ${size}u) * heads + head) * ${size}u + n % ${size}u;
    queries[n] = q[at];
    gradients[n] = dy[at];
  }
  var sums = array<f32, ${block * parts}>();
  ${columnRange(variant)}
  workgroupBarrier();
  for (var column = begin; column < end; column += ${STEP}u) {
    let c = column + local;
    let j = i32(c) - i32(extra);
    let keyAt = ((select(keyRow + c - extra, c, c < extra)) * keyHeads + keyHead) * ${size}u;
    var z = array<f32, ${block}>();
    var w = array<f32, ${block}>();
    var near = array<u32, ${block}>();
    var far = array<u32, ${block}>();
    if (c < end) {
      ${isDisentangled(variant) ? overBlock(block, tableRows(variant, 'position + i32(n) - j')) : ''}
      for (var e = 0u; e < ${size}u; e++) {
        let key = k[keyAt + e];
        let value = v[keyAt + e];
        ${overBlock(
          block,
          `${productText(variant, 'z[n]', `queries[n * ${size}u + e]`, 'key', 'near[n]', 'far[n]')}
          w[n] += gradients[n * ${size}u + e] * value;`,
        )}
      }
    }
    ${overBlock(
      block,
      `let i = position + i32(n);
      var product = 0.0;
      if (c < end && n < count && is_seen(i, j)) {
        let at = 2u * ((row + n) * heads + head);
        let p = exp_of(score_of(z[n], i, j, head) - stats[at]);
        product = p * (w[n] * kept_of(row + n, head, c) - stats[at + 1u]) * slope_of_score(z[n]);
      }
      products[n * ${STEP}u + local] = product;`,
    )}
    workgroupBarrier();
    let there = min(${STEP}u, end - column);
    ${overElements(
      size,
      `
        for (var t = 0u; t < there; t++) {
          let other = column + t;
          let place = select(keyRow + other - extra, other, other < extra);
          let key = k[(place * keyHeads + keyHead) * ${size}u + e];
          ${overBlock(
            block,
            `let distance = position + i32(n) - i32(other);
            sums[n * ${parts}u + p] += products[n * ${STEP}u + t] * ${keyOf(variant)};`,
          )}
        }`,
    )}
    workgroupBarrier();
  }
  for (var n = 0u; n < count; n++) {
    ${overElements(size, `dq[((row + n) * heads + head) * ${size}u + e] = sums[n * ${parts}u + p];`)}
  }`,
  };
}

export function keyGradientSource(variant: Variant): KernelSource {
  const { size, causal } = variant;
  const block = blockOf(size);
  const parts = Math.ceil(size / STEP);
  return {
    name: `attention dk dv (${variantName(variant)})`,
    inputs: inputsOf(variant),
    outputs: ['dk', 'dv'],
    counts: ['blocks', ...COUNTS],
    numbers: NUMBERS,
    threads: STEP,
    declarations: `
var<workgroup> keyTile: array<f32, ${block * size}>;
var<workgroup> valueTile: array<f32, ${block * size}>;
var<workgroup> products: array<f32, ${block * STEP}>;
var<workgroup> probabilities: array<f32, ${block * STEP}>;
${scoreFunctions(variant)}`,
    body: `
  let number = group.y * groups.x + group.x;
  let keyHead = number % keyHeads;
  let item = min(number / keyHeads, blocks - 1u) * ${ITEM}u;
  let keyRow = u32(items[item]);
  let count = select(u32(items[item + 1u]), 0u, number / keyHeads >= blocks);
  let firstKey = items[item + 2u];
  let queryRow = u32(items[item + 3u]);
  let queryCount = select(u32(items[item + 4u]), 0u, number / keyHeads >= blocks);
  let offset = items[item + 5u];
  let isExtra = items[item + 6u] == 1;
  for (var n = local; n < count * ${size}u; n += ${STEP}u) {
    let at = ((keyRow + n / ${size}u) * keyHeads + keyHead) * ${size}u + n % ${size}u;
    keyTile[n] = k[at];
    valueTile[n] = v[at];
  }
  var keySums = array<f32, ${block * parts}>();
  var valueSums = array<f32, ${block * parts}>();
  var begin = 0u;
  ${causal ? `if (!isExtra) { begin = u32(max(0, firstKey - offset)) / ${STEP}u * ${STEP}u; }` : ''}
  workgroupBarrier();
  for (var head = keyHead * (heads / keyHeads); head < (keyHead + 1u) * (heads / keyHeads); head++) {
    for (var query = begin; query < queryCount; query += ${STEP}u) {
      let own = query + local;
      let row = queryRow + own;
      let i = i32(own) + offset;
      let queryAt = (row * heads + head) * ${size}u;
      var z = array<f32, ${block}>();
      var w = array<f32, ${block}>();
      var near = array<u32, ${block}>();
      var far = array<u32, ${block}>();
      if (own < queryCount) {
        ${isDisentangled(variant) ? overBlock(block, tableRows(variant, 'i - firstKey - i32(n)')) : ''}
        for (var e = 0u; e < ${size}u; e++) {
          let one = q[queryAt + e];
          let gradient = dy[queryAt + e];
          ${overBlock(
            block,
            `${productText(variant, 'z[n]', 'one', `keyTile[n * ${size}u + e]`, 'near[n]', 'far[n]')}
            w[n] += gradient * valueTile[n * ${size}u + e];`,
          )}
        }
      }
      ${overBlock(
        block,
        `let j = select(firstKey + i32(n), -1, isExtra);
        var product = 0.0;
        var dropped = 0.0;
        if (own < queryCount && n < count && is_seen(i, j)) {
          let at = 2u * (row * heads + head);
          let p = exp_of(score_of(z[n], i, j, head) - stats[at]);
          let kept = kept_of(row, head, select(u32(firstKey) + n + extra, keyRow + n, isExtra));
          dropped = p * kept;
          product = p * (w[n] * kept - stats[at + 1u]) * slope_of_score(z[n]);
        }
        products[n * ${STEP}u + local] = product;
        probabilities[n * ${STEP}u + local] = dropped;`,
      )}
      workgroupBarrier();
      let there = min(${STEP}u, queryCount - query);
      ${overElements(
        size,
        `
          for (var t = 0u; t < there; t++) {
            let at = ((queryRow + query + t) * heads + head) * ${size}u + e;
            let one = q[at];
            let gradient = dy[at];
            ${overBlock(
              block,
              `let distance = i32(query + t) + offset - firstKey - i32(n);
              keySums[n * ${parts}u + p] += products[n * ${STEP}u + t] * ${queryOf(variant)};
              valueSums[n * ${parts}u + p] += probabilities[n * ${STEP}u + t] * gradient;`,
            )}
          }`,
      )}
      workgroupBarrier();
    }
  }
  for (var n = 0u; n < count; n++) {
    let at = ((keyRow + n) * keyHeads + keyHead) * ${size}u;
    ${overElements(size, `dk[at + e] = keySums[n * ${parts}u + p]; dv[at + e] = valueSums[n * ${parts}u + p];`)}
  }`,
  };
}

/**
 * Sums over the pairs of one distance and head: the diagonal m is j − i = m + firstDistance with a
 * bias (its sum of dscore, `[M, H]`), i − j = m + firstDistance with position tables (`[2, M, H·E]`:
 * Σ dscore·q_i, then Σ dscore·k_j). Items are the sequences.
 */
export function distanceGradientSource(variant: Variant): KernelSource {
  const { size, hasBias } = variant;
  const parts = hasBias ? 1 : Math.ceil(size / STEP);
  return {
    name: `attention by distance (${variantName(variant)})`,
    inputs: inputsOf(variant),
    outputs: ['out'],
    counts: ['blocks', ...COUNTS],
    numbers: NUMBERS,
    threads: STEP,
    declarations: `
var<workgroup> products: array<f32, ${STEP}>;
${scoreFunctions(variant)}`,
    body: `
  let number = group.y * groups.x + group.x;
  let head = number % heads;
  let m = number / heads;
  let keyHead = head / (heads / keyHeads);
  let step = select(0, 1, m < distances) * (i32(m) + bitcast<i32>(firstDistance));
  let distance = ${hasBias ? 'step' : '-step'};
  var nearSums = array<f32, ${parts}>();
  var farSums = array<f32, ${parts}>();
  var near = array<u32, 1>();
  var far = array<u32, 1>();
  for (var b = 0u; b < sequences; b++) {
    let item = b * ${ITEM}u;
    let row = u32(items[item]);
    let queryCount = i32(items[item + 1u]);
    let offset = items[item + 2u];
    let keyRow = u32(items[item + 3u]);
    let keys = i32(items[item + 4u]);
    // j = i + distance in [0, keys), i = query + offset
    let first = max(0, -distance - offset);
    let end = min(queryCount, keys - distance - offset);
    for (var query = first; query < end; query += ${STEP}) {
      let own = query + i32(local);
      let i = own + offset;
      let j = i + distance;
      var product = 0.0;
      if (own < end && is_seen(i, j)) {
        let queryAt = ((row + u32(own)) * heads + head) * ${size}u;
        let keyAt = ((keyRow + u32(j)) * keyHeads + keyHead) * ${size}u;
        ${isDisentangled(variant) ? overBlock(1, tableRows(variant, 'i - j')) : ''}
        var z = 0.0;
        var w = 0.0;
        for (var e = 0u; e < ${size}u; e++) {
          let key = k[keyAt + e];
          ${productText(variant, 'z', 'q[queryAt + e]', 'key', 'near[0]', 'far[0]')}
          w += dy[queryAt + e] * v[keyAt + e];
        }
        let at = 2u * ((row + u32(own)) * heads + head);
        let p = exp_of(score_of(z, i, j, head) - stats[at]);
        let kept = kept_of(row + u32(own), head, u32(j) + extra);
        product = p * (w * kept - stats[at + 1u])${hasBias ? '' : ' * slope_of_score(z)'};
      }
      products[local] = product;
      workgroupBarrier();
      let there = min(${STEP}, end - query);
      ${
        hasBias
          ? 'if (local == 0u) { for (var t = 0; t < there; t++) { nearSums[0] += products[t]; } }'
          : overElements(
              size,
              `
          for (var t = 0; t < there; t++) {
            let key = keyRow + u32(query + t + offset + distance);
            nearSums[p] += products[t] * q[((row + u32(query + t)) * heads + head) * ${size}u + e];
            farSums[p] += products[t] * k[(key * keyHeads + keyHead) * ${size}u + e];
          }`,
            )
      }
      workgroupBarrier();
    }
  }
  ${
    hasBias
      ? 'if (local == 0u && m < distances) { out[m * heads + head] = nearSums[0]; }'
      : `if (m < distances) {
    ${overElements(
      size,
      `
        out[(m * heads + head) * ${size}u + e] = nearSums[p];
        out[((distances + m) * heads + head) * ${size}u + e] = farSums[p];`,
    )}
  }`
  }`,
  };
}
