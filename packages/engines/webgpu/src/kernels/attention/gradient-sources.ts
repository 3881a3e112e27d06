/**
 * The gradient of attention in three kernels that compute the probabilities again: one over blocks
 * of queries for dq, one over blocks of keys for dk and dv, and one over the diagonals of equal
 * distance for what is shared by distance (a bias, DeBERTa's position tables). Each element of a
 * gradient is added up by one thread in a fixed order.
 *
 * `stats` holds logΣexp and δ = dy·y of each query and head.
 */
import type { KernelSource } from '../../gpu/kernel-source.js';
import { columnRange, each, QUERY_ITEM } from './forward-source.js';
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

/** `near` and `far` of query n of a block and a key at j, or of a query at i and key n. */
const rowsText = (variant: Variant, n: number, distance: string, size: number): string =>
  [
    variant.contentToPosition
      ? `let near${n} = (table_row(${distance}) * heads + head) * ${size}u;`
      : '',
    variant.positionToContent
      ? `let far${n} = (second_row(${distance}) * heads + head) * ${size}u;`
      : '',
  ].join(' ');

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
  ${each(block * parts, (n) => `var sum${n} = 0.0;`)}
  ${columnRange(variant)}
  workgroupBarrier();
  for (var column = begin; column < end; column += ${STEP}u) {
    let c = column + local;
    let j = i32(c) - i32(extra);
    let keyAt = ((select(keyRow + c - extra, c, c < extra)) * keyHeads + keyHead) * ${size}u;
    ${each(block, (n) => `var z${n} = 0.0; var w${n} = 0.0;`)}
    if (c < end) {
      ${each(block, (n) => rowsText(variant, n, `position + ${n} - j`, size))}
      for (var e = 0u; e < ${size}u; e++) {
        let key = k[keyAt + e];
        let value = v[keyAt + e];
        ${each(block, (n) => `${productText(variant, `z${n}`, `queries[${n * size}u + e]`, 'key', `near${n}`, `far${n}`)} w${n} += gradients[${n * size}u + e] * value;`)}
      }
    }
    ${each(
      block,
      (n) => `
      { let i = position + ${n};
        var product = 0.0;
        if (c < end && ${n}u < count && is_seen(i, j)) {
          let at = 2u * ((row + ${n}u) * heads + head);
          let p = exp(score_of(z${n}, i, j, head) - stats[at]);
          product = p * (w${n} * kept_of(row + ${n}u, head, c) - stats[at + 1u]) * slope_of_score(z${n});
        }
        products[${n * STEP}u + local] = product; }`,
    )}
    workgroupBarrier();
    let there = min(${STEP}u, end - column);
    ${each(
      parts,
      (p) => `
    { let e = local + ${p * STEP}u;
      if (e < ${size}u) {
        for (var n = 0u; n < there; n++) {
          let other = column + n;
          let key = k[((select(keyRow + other - extra, other, other < extra)) * keyHeads + keyHead) * ${size}u + e];
          ${each(
            block,
            (n) => `
          { let distance = position + ${n} - i32(other);
            sum${n * parts + p} += products[${n * STEP}u + n] * ${variant.contentToPosition ? `(key + tables[(table_row(distance) * heads + head) * ${size}u + e])` : 'key'}; }`,
          )}
        }
      } }`,
    )}
    workgroupBarrier();
  }
  ${each(block, (n) =>
    each(
      parts,
      (p) => `
  if (${n}u < count && local + ${p * STEP}u < ${size}u) {
    dq[((row + ${n}u) * heads + head) * ${size}u + local + ${p * STEP}u] = sum${n * parts + p};
  }`,
    ),
  )}`,
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
  ${each(block * parts, (n) => `var key${n} = 0.0; var value${n} = 0.0;`)}
  var begin = 0u;
  ${causal ? `if (!isExtra) { begin = u32(max(0, firstKey - offset)) / ${STEP}u * ${STEP}u; }` : ''}
  workgroupBarrier();
  for (var head = keyHead * (heads / keyHeads); head < (keyHead + 1u) * (heads / keyHeads); head++) {
    for (var query = begin; query < queryCount; query += ${STEP}u) {
      let own = query + local;
      let row = queryRow + own;
      let i = i32(own) + offset;
      let queryAt = (row * heads + head) * ${size}u;
      ${each(block, (n) => `var z${n} = 0.0; var w${n} = 0.0;`)}
      if (own < queryCount) {
        ${each(block, (n) => rowsText(variant, n, `i - firstKey - ${n}`, size))}
        for (var e = 0u; e < ${size}u; e++) {
          let one = q[queryAt + e];
          let gradient = dy[queryAt + e];
          ${each(block, (n) => `${productText(variant, `z${n}`, 'one', `keyTile[${n * size}u + e]`, `near${n}`, `far${n}`)} w${n} += gradient * valueTile[${n * size}u + e];`)}
        }
      }
      ${each(
        block,
        (n) => `
        { let j = select(firstKey + ${n}, -1, isExtra);
          var product = 0.0;
          var dropped = 0.0;
          if (own < queryCount && ${n}u < count && is_seen(i, j)) {
            let at = 2u * (row * heads + head);
            let p = exp(score_of(z${n}, i, j, head) - stats[at]);
            let kept = kept_of(row, head, select(u32(firstKey + ${n}) + extra, keyRow + ${n}u, isExtra));
            dropped = p * kept;
            product = p * (w${n} * kept - stats[at + 1u]) * slope_of_score(z${n});
          }
          products[${n * STEP}u + local] = product;
          probabilities[${n * STEP}u + local] = dropped; }`,
      )}
      workgroupBarrier();
      let there = min(${STEP}u, queryCount - query);
      ${each(
        parts,
        (p) => `
      { let e = local + ${p * STEP}u;
        if (e < ${size}u) {
          for (var n = 0u; n < there; n++) {
            let at = ((queryRow + query + n) * heads + head) * ${size}u + e;
            let one = q[at];
            let gradient = dy[at];
            ${each(
              block,
              (n) => `
            { let distance = i32(query + n) + offset - firstKey - ${n};
              key${n * parts + p} += products[${n * STEP}u + n] * ${variant.positionToContent ? `(one + tables[(second_row(distance) * heads + head) * ${size}u + e])` : 'one'};
              value${n * parts + p} += probabilities[${n * STEP}u + n] * gradient; }`,
            )}
          }
        } }`,
      )}
      workgroupBarrier();
    }
  }
  ${each(block, (n) =>
    each(
      parts,
      (p) => `
  if (${n}u < count && local + ${p * STEP}u < ${size}u) {
    let at = ((keyRow + ${n}u) * keyHeads + keyHead) * ${size}u + local + ${p * STEP}u;
    dk[at] = key${n * parts + p};
    dv[at] = value${n * parts + p};
  }`,
    ),
  )}`,
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
  ${each(parts, (p) => `var near${p}_ = 0.0; var far${p}_ = 0.0;`)}
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
        ${rowsText(variant, 0, 'i - j', size)}
        var z = 0.0;
        var w = 0.0;
        for (var e = 0u; e < ${size}u; e++) {
          let key = k[keyAt + e];
          ${productText(variant, 'z', 'q[queryAt + e]', 'key', 'near0', 'far0')}
          w += dy[queryAt + e] * v[keyAt + e];
        }
        let at = 2u * ((row + u32(own)) * heads + head);
        let p = exp(score_of(z, i, j, head) - stats[at]);
        product = p * (w * kept_of(row + u32(own), head, u32(j) + extra) - stats[at + 1u])${hasBias ? '' : ' * slope_of_score(z)'};
      }
      products[local] = product;
      workgroupBarrier();
      let there = min(${STEP}, end - query);
      ${
        hasBias
          ? 'if (local == 0u) { for (var n = 0; n < there; n++) { near0_ += products[n]; } }'
          : each(
              parts,
              (p) => `
      { let e = local + ${p * STEP}u;
        if (e < ${size}u) {
          for (var n = 0; n < there; n++) {
            let other = u32(query + n);
            near${p}_ += products[n] * q[((row + other) * heads + head) * ${size}u + e];
            far${p}_ += products[n] * k[((keyRow + u32(query + n + offset + distance)) * keyHeads + keyHead) * ${size}u + e];
          }
        } }`,
            )
      }
      workgroupBarrier();
    }
  }
  ${
    hasBias
      ? 'if (local == 0u && m < distances) { out[m * heads + head] = near0_; }'
      : each(
          parts,
          (p) => `
  if (m < distances && local + ${p * STEP}u < ${size}u) {
    out[(m * heads + head) * ${size}u + local + ${p * STEP}u] = near${p}_;
    out[((distances + m) * heads + head) * ${size}u + local + ${p * STEP}u] = far${p}_;
  }`,
        )
  }`,
  };
}
