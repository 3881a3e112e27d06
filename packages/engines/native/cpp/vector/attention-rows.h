// Scores, softmax and its gradient of a tile of attention; see core/attention-tile.h for the
// formulas and layouts.
#pragma once
#include <cstdint>
#include "../core/attention-tile.h"
#include "../core/product-kernels.h"
#include "elementwise.h"
#include "softmax.h"
#include "transpose.h"

namespace peft::PEFT_ISA {

inline int64_t clampTo(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : x > high ? high : x;
}

constexpr int64_t kPanel = W * kTileVectors;

/** Where vector c of row r lies in sums. */
inline const float* inSums(const float* sums, int64_t sumRows, int64_t r, int64_t c) {
  return sums + c / kPanel * sumRows * kPanel + r * kPanel + c % kPanel;
}

/** One row of a tile. Columns [from, to) are seen. `plain`: scaled products alone, all seen, no
 * dropout. */
template <bool plain>
struct ScoreRow {
  const ScoreTile& tile;
  int64_t r, from, to;
  vf inverseCap, cap, scale;

  ScoreRow(const ScoreTile& t, int64_t row)
      : tile(t),
        r(row),
        from(clampTo(t.seenFrom + row * t.rowStep, 0, t.columns)),
        to(clampTo(t.seenTo + row * t.rowStep, 0, t.columns)) {
    if (to < from) to = from;
    cap = set(t.softCap);
    inverseCap = set(t.softCap > 0 ? 1.0f / t.softCap : 0.0f);
    scale = set(t.scale);
  }

  /** First vector that has a seen column, and the end. */
  int64_t begin() const { return from / W * W; }
  int64_t end() const { return to; }

  /** tanh of the scaled product over the cap. */
  vf capped(int64_t c) const { return tanh(scaled(c) * inverseCap); }

  vf scaled(int64_t c) const {
    vf z = load(inSums(tile.products, tile.productRows, r, c));
    for (int i = 0; i < 2 && !plain; i++)
      if (tile.additions[i]) z = z + load(tile.additions[i] + r * tile.additionStrides[i] + c);
    return z * scale;
  }

  vf score(int64_t c) const {
    if constexpr (plain) return scaled(c);
    vf z = tile.softCap > 0 ? cap * capped(c) : scaled(c);
    if (tile.bias) z = z + loadn(tile.bias + c - r, tile.columns - c);
    return z;
  }

  /** `value` with `outside` in the lanes that are not seen. */
  vf masked(vf value, int64_t c, vf outside) const {
    if (c >= from && c + W <= to) return value;
    const vf lane = toFloat(iota());
    const vf inner = select(lt(lane, set(static_cast<float>(from - c))), outside, value);
    return select(lt(lane, set(static_cast<float>(to - c))), inner, outside);
  }

  vf dropout(int64_t c) const {
    const uint32_t first =
        tile.firstNumber + static_cast<uint32_t>(r) * tile.numberStride + static_cast<uint32_t>(c);
    return dropoutFactor(first, tile.rate, tile.kept, tile.key0, tile.key1);
  }

  /** Zeros what is outside of [begin, end) up to a whole vector. */
  void clearOutside(float* row) const {
    const int64_t first = from < to ? begin() : 0, last = from < to ? (to + W - 1) / W * W : 0;
    for (int64_t c = 0; c < first; c += W) store(row + c, zero());
    for (int64_t c = last; c < tile.columns; c += W) store(row + c, zero());
  }
};

inline bool isPlain(const ScoreTile& t) {
  return !t.additions[0] && !t.additions[1] && !t.bias && t.softCap <= 0 && t.rate <= 0 &&
         t.seenFrom <= -kUnlimited && t.seenTo >= kUnlimited;
}

template <bool plain>
void forwardRows(const ScoreTile& tile, float* p, float* maximumOf, float* total, float* rescale) {
  const vf lowest = fromBits(seti(static_cast<int32_t>(0xff800000u)));
  for (int64_t r = 0; r < tile.rows; r++, p += kStrideWords) {
    const ScoreRow<plain> row(tile, r);
    row.clearOutside(p);
    vf most = lowest;
    if (row.from < row.to) {
      for (int64_t c = row.begin(); c < row.end(); c += W) {
        const vf score = row.masked(row.score(c), c, lowest);
        store(p + c, score);
        most = max(score, most);
      }
    }
    const float before = maximumOf[r];
    const float here = maximum(most);
    const float now = here > before ? here : before;
    maximumOf[r] = now;
    const float shift = now > -3.4e38f ? now : 0.0f;  // a row that has seen nothing yet
    float lane[W];
    store(lane, expNegative(set(before - shift)));
    rescale[r] = before > -3.4e38f ? lane[0] : 0.0f;
    const vf base = set(shift);
    vf sumOfRow = zero();
    if (row.from < row.to) {
      for (int64_t c = row.begin(); c < row.end(); c += W) {
        const vf e = expNegative(load(p + c) - base);
        sumOfRow = sumOfRow + e;
        store(p + c, !plain && tile.rate > 0 ? e * row.dropout(c) : e);
      }
    }
    total[r] = total[r] * rescale[r] + sum(sumOfRow);
  }
}

template <bool plain>
void backwardRows(const ScoreTile& tile, const float* dp, const float* shifts, const float* factors,
                  const float* delta, float* p, float* ds, float* biasGradient) {
  const vf one = set(1.0f);
  for (int64_t r = 0; r < tile.rows; r++, p += kStrideWords, ds += kStrideWords) {
    const ScoreRow<plain> row(tile, r);
    row.clearOutside(p);
    row.clearOutside(ds);
    if (row.from >= row.to) continue;
    const vf shift = set(shifts[r]), share = set(factors[r]), difference = set(delta[r]);
    for (int64_t c = row.begin(); c < row.end(); c += W) {
      const vf probability = row.masked(expNegative(row.score(c) - shift) * share, c, zero());
      vf gradient = load(inSums(dp, tile.productRows, r, c));
      vf dropped = probability;
      if (!plain && tile.rate > 0) {
        const vf factor = row.dropout(c);
        gradient = gradient * factor;
        dropped = probability * factor;
      }
      store(p + c, dropped);
      gradient = row.masked(probability * (gradient - difference), c, zero());
      if (biasGradient) {
        const int64_t lanes = tile.columns - c;
        float* to = biasGradient + c - r;
        storen(to, loadn(to, lanes) + gradient, lanes);
      }
      if (!plain && tile.softCap > 0) {
        const vf t = row.capped(c);
        gradient = gradient * (one - t * t);
      }
      store(ds + c, gradient * row.scale);
    }
  }
}

inline void attentionForward(const ScoreTile& tile, float* p, float* maximumOf, float* total,
                             float* rescale) {
  if (isPlain(tile))
    forwardRows<true>(tile, p, maximumOf, total, rescale);
  else
    forwardRows<false>(tile, p, maximumOf, total, rescale);
}

inline void attentionBackward(const ScoreTile& tile, const float* dp, const float* shifts,
                              const float* factors, const float* delta, float* p, float* ds,
                              float* biasGradient) {
  if (isPlain(tile))
    backwardRows<true>(tile, dp, shifts, factors, delta, p, ds, nullptr);
  else
    backwardRows<false>(tile, dp, shifts, factors, delta, p, ds, biasGradient);
}

/** Σ of a row of dy times one of y, the order of the sum being that of a product (tile.h). */
inline void attentionDelta(const float* dy, const float* y, int64_t stride, int64_t rows,
                           int64_t size, float* delta) {
  for (int64_t r = 0; r < rows; r += W, dy += W * stride, y += W * stride) {
    const int64_t height = rows - r < W ? rows - r : W;
    vf total = zero();
    for (int64_t pass = 0; pass < size; pass += kPassWords) {
      const int64_t end = size - pass < kPassWords ? size : pass + kPassWords;
      vf sum = zero();
      for (int64_t e = pass; e < end; e += W) {
        const int64_t lanes = end - e < W ? end - e : W;
        vi a[W], b[W];  // first by row, then by element
        for (int64_t i = 0; i < W; i++) {
          a[i] = i < height ? bits(loadn(dy + i * stride + e, lanes)) : seti(0);
          b[i] = i < height ? bits(loadn(y + i * stride + e, lanes)) : seti(0);
        }
        transposeLanes(a);
        transposeLanes(b);
        for (int64_t i = 0; i < lanes; i++) sum = fma(fromBits(a[i]), fromBits(b[i]), sum);
      }
      total = pass > 0 ? sum + total : sum;
    }
    if (height == W)
      store(delta + r, total);
    else
      storen(delta + r, total, height);
  }
}

inline void scaleSumRows(float* sums, int64_t sumRows, int64_t rows, int64_t columns,
                         const float* factor) {
  for (int64_t c = 0; c < columns; c += kPanel, sums += sumRows * kPanel)
    for (int64_t r = 0; r < rows; r++) {
      if (factor[r] == 1.0f) continue;
      const vf by = set(factor[r]);
      for (int64_t i = 0; i < kPanel; i += W)
        store(sums + r * kPanel + i, load(sums + r * kPanel + i) * by);
    }
}

}  // namespace peft::PEFT_ISA
