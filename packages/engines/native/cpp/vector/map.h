// Loops over runs of elements: whole vectors, then the rest masked. Outputs may be inputs.
#pragma once
#include <cstdint>

namespace peft::PEFT_ISA {

/** a with lanes from n on set to 0. */
inline vf keep(vf a, int64_t n) {
  if (n >= W) return a;
  float lane[W];
  store(lane, a);
  return loadn(lane, n);
}

template <class F>
inline void map1(const float* x, float* y, int64_t n, F f) {
  int64_t i = 0;
  for (; i + W <= n; i += W) store(y + i, f(load(x + i)));
  if (i < n) storen(y + i, f(loadn(x + i, n - i)), n - i);
}

template <class F>
inline void map2(const float* a, const float* b, float* y, int64_t n, F f) {
  int64_t i = 0;
  for (; i + W <= n; i += W) store(y + i, f(load(a + i), load(b + i)));
  if (i < n) storen(y + i, f(loadn(a + i, n - i), loadn(b + i, n - i)), n - i);
}

template <class F>
inline void map3(const float* a, const float* b, const float* c, float* y, int64_t n, F f) {
  int64_t i = 0;
  for (; i + W <= n; i += W) store(y + i, f(load(a + i), load(b + i), load(c + i)));
  if (i < n) storen(y + i, f(loadn(a + i, n - i), loadn(b + i, n - i), loadn(c + i, n - i)), n - i);
}

/** Σ f(i, lanes), lanes past the end left out; four sums in turn, added in a fixed order. */
template <class F>
inline float sumOf(int64_t n, F f) {
  vf total[4] = {zero(), zero(), zero(), zero()};
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int j = 0; j < 4; j++) total[j] = total[j] + f(i + j * W, int64_t{W});
  for (int j = 0; i < n; i += W, j++)
    total[j & 3] = total[j & 3] + keep(f(i, n - i < W ? n - i : int64_t{W}), n - i);
  return sum((total[0] + total[1]) + (total[2] + total[3]));
}

}  // namespace peft::PEFT_ISA
