// Attention of one query per head, as in generation: bound by reading keys and values, each of which is read once for the heads that share it.
#pragma once
#include <cstdint>
#include "../core/half.h"
#include "decode.h"
#include "map.h"

namespace peft::PEFT_ISA {

/** scores[g·scoreStride + j] = Σ_e q[g·size + e]·k[j·keyStride + e] for a group of query heads. */
inline void queryKeys(const float* q, int64_t group, const float* k, int64_t keyStride, int64_t keys, int64_t size, float* scores, int64_t scoreStride) {
  for (int64_t j = 0; j < keys; j++) {
    const float* key = k + j * keyStride;
    for (int64_t g = 0; g < group; g++) {
      const float* query = q + g * size;
      vf even = zero(), odd = zero();
      int64_t e = 0;
      for (; e + 2 * W <= size; e += 2 * W) {
        even = fma(load(query + e), load(key + e), even);
        odd = fma(load(query + e + W), load(key + e + W), odd);
      }
      for (; e < size; e += W) even = fma(loadn(query + e, size - e), loadn(key + e, size - e), even);
      scores[g * scoreStride + j] = sum(even + odd);
    }
  }
}

/** out[g·size + e] = Σ_j p[g·weightStride + j]·v[j·valueStride + e] */
inline void weighValues(const float* p, int64_t weightStride, int64_t group, const float* v, int64_t valueStride, int64_t keys, int64_t size, float* out) {
  for (int64_t g = 0; g < group; g++) {
    const float* weights = p + g * weightStride;
    int64_t e = 0;
    for (; e + 4 * W <= size; e += 4 * W) {
      vf sums[4] = {zero(), zero(), zero(), zero()};
      for (int64_t j = 0; j < keys; j++) {
        const vf weight = set(weights[j]);
        const float* value = v + j * valueStride + e;
        for (int i = 0; i < 4; i++) sums[i] = fma(weight, load(value + i * W), sums[i]);
      }
      for (int i = 0; i < 4; i++) store(out + g * size + e + i * W, sums[i]);
    }
    for (; e < size; e += W) {
      vf sums = zero();
      for (int64_t j = 0; j < keys; j++) sums = fma(set(weights[j]), loadn(v + j * valueStride + e, size - e), sums);
      storen(out + g * size + e, sums, size - e);
    }
  }
}

/** Σ w·x of stored bf16 numbers w. */
inline float dotBfloat(const uint16_t* w, const float* x, int64_t n) {
  vf sums[4] = {zero(), zero(), zero(), zero()};
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int j = 0; j < 4; j++) sums[j] = fma(loadBf16(w + i + j * W), load(x + i + j * W), sums[j]);
  float rest = 0;
  for (; i + W <= n; i += W) sums[0] = fma(loadBf16(w + i), load(x + i), sums[0]);
  for (; i < n; i++) rest += bfloatToFloat(w[i]) * x[i];
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3])) + rest;
}

}  // namespace peft::PEFT_ISA
