// Softmax, log-softmax and cross entropy of one row.
#pragma once
#include <cstdint>
#include "elementwise.h"

namespace peft::PEFT_ISA {

inline float logarithm(float x) {
  float lane[W];
  store(lane, log(set(x)));
  return lane[0];
}

/** Σ e^{x−most}; the terms also go to `y` where that is not null. `most` is finite or
 * +infinity-free. */
inline float exponentials(const float* x, float most, float* y, int64_t n) {
  const vf shift = set(most);
  return sumOf(n, [&](int64_t i, int64_t lanes) {
    const vf e = exp(loadn(x + i, lanes) - shift);
    if (y) storen(y + i, e, lanes);
    return e;
  });
}

/** A row of nothing but −infinity gives NaN, as elsewhere. */
inline void softmaxRow(const float* x, float* y, int64_t n, bool logarithmic) {
  const float most = maximumRun(x, n);
  if (logarithmic) {
    const vf shift = set(most), rest = set(logarithm(exponentials(x, most, nullptr, n)));
    map1(x, y, n, [&](vf a) { return (a - shift) - rest; });
    return;
  }
  const vf inverse = set(1.0f / exponentials(x, most, y, n));
  map1(y, y, n, [&](vf a) { return a * inverse; });
}

inline void softmaxGradientRow(const float* y, const float* dy, float* dx, int64_t n,
                               bool logarithmic) {
  if (logarithmic) {
    const vf total = set(sumRun(dy, n));
    map2(y, dy, dx, n, [&](vf a, vf d) { return d - exp(a) * total; });
    return;
  }
  const vf total = set(dot(y, dy, n));
  map2(y, dy, dx, n, [&](vf a, vf d) { return a * (d - total); });
}

/** ln Σ eˣ */
inline float logSumExpRow(const float* x, int64_t n) {
  const float most = maximumRun(x, n);
  return most + logarithm(exponentials(x, most, nullptr, n));
}

/** e^{x − logSumExp}·factor */
inline void probabilityRow(const float* x, float logSumExp, float factor, float* y, int64_t n) {
  const vf shift = set(logSumExp), times = set(factor);
  map1(x, y, n, [&](vf a) { return exp(a - shift) * times; });
}

}  // namespace peft::PEFT_ISA
