/**
 * Attention of one head at a time in float64, written as its formulas: what the addon is compared
 * with.
 */
import { randomUniform } from '@peft/ops';
import type { AttentionOptions, DisentangledOptions } from '../src/binding/attention.js';

type Rows = ArrayLike<number>;
type Score = (i: number, j: number) => number;

/** What one head of one sequence gives; P extra columns come first. */
interface HeadResult {
  readonly y: Float64Array;
  readonly logSumExp: Float64Array;
  readonly dScore: Float64Array;
  readonly dValue: Float64Array;
}

/**
 * @param score of query i and column j, −Infinity where hidden.
 * @param value column j, element e.
 * @param factor dropout's, of (i, j).
 * @returns y `[T, E]`, dScore `[T, L]` with respect to the score, dValue `[L, E]`.
 */
function head(
  queries: number,
  columns: number,
  size: number,
  score: Score,
  value: Score,
  factor: Score,
  dy: Score,
): HeadResult {
  const y = new Float64Array(queries * size);
  const logSumExp = new Float64Array(queries);
  const dScore = new Float64Array(queries * columns);
  const dValue = new Float64Array(columns * size);
  for (let i = 0; i < queries; i += 1) {
    const scores = Array.from({ length: columns }, (_, j) => score(i, j));
    const most = Math.max(...scores);
    const total = scores.reduce((sum, s) => sum + Math.exp(s - most), 0);
    logSumExp[i] = most + Math.log(total);
    const p = scores.map((s) => Math.exp(s - most) / total);
    const dp = p.map(() => 0);
    for (let j = 0; j < columns; j += 1) {
      for (let e = 0; e < size; e += 1) {
        y[i * size + e]! += p[j]! * factor(i, j) * value(j, e);
        dValue[j * size + e]! += p[j]! * factor(i, j) * dy(i, e);
        dp[j]! += factor(i, j) * dy(i, e) * value(j, e);
      }
    }
    const mean = p.reduce((sum, value_, j) => sum + value_ * dp[j]!, 0);
    for (let j = 0; j < columns; j += 1) dScore[i * columns + j] = p[j]! * (dp[j]! - mean);
  }
  return { y, logSumExp, dScore, dValue };
}

const clipped = (index: Int32Array, at: number) =>
  index[Math.min(Math.max(at, 0), index.length - 1)]!;
const longest = (offsets: Int32Array) =>
  Math.max(0, ...Array.from(offsets.subarray(1), (end, b) => end - offsets[b]!));

function dropoutOf(
  options: { dropoutRate: number; dropoutKey0: number; dropoutKey1: number; heads: number },
  columns: number,
): (row: number, h: number, j: number) => number {
  const { dropoutRate: rate, dropoutKey0, dropoutKey1, heads } = options;
  if (rate === 0) return () => 1;
  return (row, h, j) =>
    randomUniform([dropoutKey0, dropoutKey1], (row * heads + h) * columns + j) >= Math.fround(rate)
      ? 1 / (1 - rate)
      : 0;
}

export interface AttentionInputs {
  readonly q: Rows;
  readonly k: Rows;
  readonly v: Rows;
  readonly bias: Rows | null;
  readonly extraKeys: Rows | null;
  readonly extraValues: Rows | null;
  readonly dy: Rows;
}

/** All outputs of `attention` and `attentionGradient`. */
export function plainAttention(x: AttentionInputs, o: AttentionOptions) {
  const {
    heads: H,
    keyValueHeads: G,
    headSize: E,
    extra: P,
    queryOffsets,
    keyOffsets,
    scale,
    softCap,
    causal,
    window,
  } = o;
  const [nq, nk] = [queryOffsets.at(-1)!, keyOffsets.at(-1)!];
  const out = {
    y: new Float64Array(nq * H * E),
    logSumExp: new Float64Array(nq * H),
    dq: new Float64Array(nq * H * E),
    dk: new Float64Array(nk * G * E),
    dv: new Float64Array(nk * G * E),
    dbias: new Float64Array(H * o.biasColumns),
    dextraKeys: new Float64Array(P * G * E),
    dextraValues: new Float64Array(P * G * E),
  };
  const factorOf = dropoutOf(o, P + longest(keyOffsets));
  for (let b = 0; b + 1 < queryOffsets.length; b += 1) {
    const [q0, k0] = [queryOffsets[b]!, keyOffsets[b]!];
    const [tq, tk] = [queryOffsets[b + 1]! - q0, keyOffsets[b + 1]! - k0];
    for (let h = 0; h < H; h += 1) {
      const g = Math.floor(h / (H / G));
      const query = (i: number, e: number) => (q0 + i) * H * E + h * E + e;
      const own = (j: number, e: number) => (j < P ? j : k0 + j - P) * G * E + g * E + e;
      const keyAt = (j: number, e: number) => (j < P ? x.extraKeys! : x.k)[own(j, e)]!;
      const valueAt = (j: number, e: number) => (j < P ? x.extraValues! : x.v)[own(j, e)]!;
      const product = (i: number, j: number) => {
        let sum = 0;
        for (let e = 0; e < E; e += 1) sum += x.q[query(i, e)]! * keyAt(j, e);
        return sum * scale;
      };
      const bend = (z: number) => (softCap > 0 ? softCap * Math.tanh(z / softCap) : z);
      const seen = (i: number, j: number) => {
        const [at, key] = [i + tk - tq, j - P];
        if (key < 0) return true;
        if (causal) return key <= at && (window === 0 || key > at - window);
        return window === 0 || Math.abs(at - key) <= window / 2;
      };
      const biasAt = (i: number, j: number) =>
        h * o.biasColumns + clipped(o.biasIndex!, j - P - (i + tk - tq) + o.biasOrigin);
      const score = (i: number, j: number) =>
        seen(i, j)
          ? bend(product(i, j)) + (x.bias && j >= P ? x.bias[biasAt(i, j)]! : 0)
          : -Infinity;
      const columns = P + tk;
      const result = head(
        tq,
        columns,
        E,
        score,
        valueAt,
        (i, j) => factorOf(q0 + i, h, j),
        (i, e) => x.dy[query(i, e)]!,
      );
      for (let i = 0; i < tq; i += 1) {
        out.logSumExp[(q0 + i) * H + h] = result.logSumExp[i]!;
        for (let e = 0; e < E; e += 1) out.y[query(i, e)] = result.y[i * E + e]!;
        for (let j = 0; j < columns; j += 1) {
          const d = result.dScore[i * columns + j]!;
          if (!seen(i, j)) continue;
          if (x.bias && j >= P) out.dbias[biasAt(i, j)]! += d;
          const dz = d * (softCap > 0 ? 1 - Math.tanh(product(i, j) / softCap) ** 2 : 1) * scale;
          for (let e = 0; e < E; e += 1) {
            out.dq[query(i, e)]! += dz * keyAt(j, e);
            (j < P ? out.dextraKeys : out.dk)[own(j, e)]! += dz * x.q[query(i, e)]!;
          }
        }
      }
      for (let j = 0; j < columns; j += 1)
        for (let e = 0; e < E; e += 1)
          (j < P ? out.dextraValues : out.dv)[own(j, e)]! += result.dValue[j * E + e]!;
    }
  }
  return out;
}

export interface DisentangledInputs {
  readonly q: Rows;
  readonly k: Rows;
  readonly v: Rows;
  readonly positionKeys: Rows | null;
  readonly positionQueries: Rows | null;
  readonly dy: Rows;
}

/** All outputs of `disentangledAttention` and its gradient. */
export function plainDisentangled(x: DisentangledInputs, o: DisentangledOptions) {
  const { heads: H, headSize: E, offsets, scale, positions: S } = o;
  const n = offsets.at(-1)!;
  const make = (length: number) => new Float64Array(length);
  const out = {
    y: make(n * H * E),
    logSumExp: make(n * H),
    dq: make(n * H * E),
    dk: make(n * H * E),
    dv: make(n * H * E),
    dpositionKeys: make(S * H * E),
    dpositionQueries: make(S * H * E),
  };
  const factorOf = dropoutOf(o, longest(offsets));
  for (let b = 0; b + 1 < offsets.length; b += 1) {
    const start = offsets[b]!;
    const length = offsets[b + 1]! - start;
    for (let h = 0; h < H; h += 1) {
      const row = (i: number, e: number) => (start + i) * H * E + h * E + e;
      const keyPosition = (i: number, j: number, e: number) =>
        clipped(o.contentToPositionIndex, i - j + o.relativeOrigin) * H * E + h * E + e;
      const queryPosition = (i: number, j: number, e: number) =>
        clipped(o.positionToContentIndex, i - j + o.relativeOrigin) * H * E + h * E + e;
      const score = (i: number, j: number) => {
        let sum = 0;
        for (let e = 0; e < E; e += 1) {
          const [q, k] = [x.q[row(i, e)]!, x.k[row(j, e)]!];
          sum +=
            q * k +
            (x.positionKeys ? q * x.positionKeys[keyPosition(i, j, e)]! : 0) +
            (x.positionQueries ? k * x.positionQueries[queryPosition(i, j, e)]! : 0);
        }
        return sum * scale;
      };
      const result = head(
        length,
        length,
        E,
        score,
        (j, e) => x.v[row(j, e)]!,
        (i, j) => factorOf(start + i, h, j),
        (i, e) => x.dy[row(i, e)]!,
      );
      for (let i = 0; i < length; i += 1) {
        out.logSumExp[(start + i) * H + h] = result.logSumExp[i]!;
        for (let e = 0; e < E; e += 1) {
          out.y[row(i, e)] = result.y[i * E + e]!;
          out.dv[row(i, e)] = result.dValue[i * E + e]!;
        }
        for (let j = 0; j < length; j += 1) {
          const d = result.dScore[i * length + j]! * scale;
          for (let e = 0; e < E; e += 1) {
            const [q, k] = [x.q[row(i, e)]!, x.k[row(j, e)]!];
            out.dq[row(i, e)]! +=
              d * (k + (x.positionKeys ? x.positionKeys[keyPosition(i, j, e)]! : 0));
            out.dk[row(j, e)]! +=
              d * (q + (x.positionQueries ? x.positionQueries[queryPosition(i, j, e)]! : 0));
            if (x.positionKeys) out.dpositionKeys[keyPosition(i, j, e)]! += d * q;
            if (x.positionQueries) out.dpositionQueries[queryPosition(i, j, e)]! += d * k;
          }
        }
      }
    }
  }
  return out;
}
