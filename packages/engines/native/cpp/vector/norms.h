// Layer norm and RMS norm over rows of D elements, and their gradients.
// x, y, dy, dx [rows, D]; gamma, beta [D]; mean, inverse [rows]. dgamma, dbeta [D] are added to.
// Outputs may be null where not wanted.
#pragma once
#include <cstdint>
#include "map.h"

namespace peft::PEFT_ISA {

inline float inverseRoot(float x) {
  float lane[W];
  store(lane, set(1.0f) / sqrt(set(x)));
  return lane[0];
}

/** y = (x−μ)/√(σ²+ε)·γ + β */
inline void layerNormRows(const float* x, const float* gamma, const float* beta, float* y,
                          float* mean, float* inverse, int64_t rows, int64_t d, float epsilon) {
  for (int64_t r = 0; r < rows; r++, x += d, y += d) {
    const float mu =
        sumOf(d, [&](int64_t i, int64_t n) { return loadn(x + i, n); }) / static_cast<float>(d);
    const vf center = set(mu);
    const float squares = sumOf(d, [&](int64_t i, int64_t n) {
      const vf difference = loadn(x + i, n) - center;
      return difference * difference;
    });
    const float inv = inverseRoot(squares / static_cast<float>(d) + epsilon);
    mean[r] = mu;
    inverse[r] = inv;
    const vf scale = set(inv);
    map3(x, gamma, beta, y, d, [&](vf a, vf g, vf b) { return fma((a - center) * scale, g, b); });
  }
}

/** With x̂ = (x−μ)·inverse and e = dy·γ: dx = inverse·(e − mean(e) − x̂·mean(e·x̂)), dγ = Σ dy·x̂, dβ =
 * Σ dy. */
inline void layerNormGradientRows(const float* x, const float* gamma, const float* mean,
                                  const float* inverse, const float* dy, float* dx, float* dgamma,
                                  float* dbeta, int64_t rows, int64_t d) {
  for (int64_t r = 0; r < rows; r++, x += d, dy += d) {
    const vf center = set(mean[r]), scale = set(inverse[r]);
    auto normal = [&](vf a) { return (a - center) * scale; };
    if (dgamma)
      map3(dgamma, x, dy, dgamma, d,
           [&](vf total, vf a, vf g) { return fma(g, normal(a), total); });
    if (dbeta) map2(dbeta, dy, dbeta, d, [](vf total, vf g) { return total + g; });
    if (!dx) continue;
    const float meanE =
        sumOf(d, [&](int64_t i, int64_t n) { return loadn(dy + i, n) * loadn(gamma + i, n); }) /
        static_cast<float>(d);
    const float meanEx =
        sumOf(d,
              [&](int64_t i, int64_t n) {
                return loadn(dy + i, n) * loadn(gamma + i, n) * normal(loadn(x + i, n));
              }) /
        static_cast<float>(d);
    const vf a = set(meanE), b = set(meanEx);
    map3(x, gamma, dy, dx + r * d, d,
         [&](vf v, vf g, vf e) { return scale * (e * g - a - normal(v) * b); });
  }
}

/** y = x/√(mean(x²)+ε)·(γ+offset) */
inline void rmsNormRows(const float* x, const float* gamma, float* y, float* inverse, int64_t rows,
                        int64_t d, float epsilon, float offset) {
  const vf more = set(offset);
  for (int64_t r = 0; r < rows; r++, x += d, y += d) {
    const float squares =
        sumOf(d, [&](int64_t i, int64_t n) { return loadn(x + i, n) * loadn(x + i, n); });
    const float inv = inverseRoot(squares / static_cast<float>(d) + epsilon);
    inverse[r] = inv;
    const vf scale = set(inv);
    map2(x, gamma, y, d, [&](vf a, vf g) { return a * scale * (g + more); });
  }
}

/** With x̂ = x·inverse and e = dy·(γ+offset): dx = inverse·(e − x̂·mean(e·x̂)), dγ = Σ dy·x̂. */
inline void rmsNormGradientRows(const float* x, const float* gamma, const float* inverse,
                                const float* dy, float* dx, float* dgamma, int64_t rows, int64_t d,
                                float offset) {
  const vf more = set(offset);
  for (int64_t r = 0; r < rows; r++, x += d, dy += d) {
    const vf scale = set(inverse[r]);
    if (dgamma)
      map3(dgamma, x, dy, dgamma, d,
           [&](vf total, vf a, vf g) { return fma(g, a * scale, total); });
    if (!dx) continue;
    const float meanEx =
        sumOf(d,
              [&](int64_t i, int64_t n) {
                return loadn(dy + i, n) * (loadn(gamma + i, n) + more) * loadn(x + i, n) * scale;
              }) /
        static_cast<float>(d);
    const vf b = set(meanEx);
    map3(x, gamma, dy, dx + r * d, d,
         [&](vf v, vf g, vf e) { return scale * (e * (g + more) - v * scale * b); });
  }
}

}  // namespace peft::PEFT_ISA
