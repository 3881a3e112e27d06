// Attention of one query per head, as in generation: bound by reading keys and values, each of
// which is read once for the heads that share it.
#pragma once
#include <cstdint>
#include "map.h"

namespace peft::PEFT_ISA {

/**
 * scores[h·scoreStride + j] = Σ_e q[h·size + e]·k[j·keyStride + ⌊h/group⌋·size + e] for heads·group
 * query heads h: keys are read in the order in which they lie.
 */
inline void queryKeys(const float* q, int64_t heads, int64_t group, const float* k,
                      int64_t keyStride, int64_t keys, int64_t size, float* scores,
                      int64_t scoreStride) {
  for (int64_t j = 0; j < keys; j++) {
    for (int64_t h = 0; h < heads * group; h++) {
      const float *query = q + h * size, *key = k + j * keyStride + h / group * size;
      vf even = zero(), odd = zero();
      int64_t e = 0;
      for (; e + 2 * W <= size; e += 2 * W) {
        even = fma(load(query + e), load(key + e), even);
        odd = fma(load(query + e + W), load(key + e + W), odd);
      }
      for (; e < size; e += W)
        even = fma(loadn(query + e, size - e), loadn(key + e, size - e), even);
      scores[h * scoreStride + j] = sum(even + odd);
    }
  }
}

/** out[h·size + e] += Σ_j p[h·weightStride + j]·v[j·valueStride + ⌊h/group⌋·size + e], eight rows
 * of values at a time. */
inline void weighValues(const float* p, int64_t weightStride, int64_t heads, int64_t group,
                        const float* v, int64_t valueStride, int64_t keys, int64_t size,
                        float* out) {
  constexpr int64_t kRows = 8;
  for (int64_t first = 0; first < keys; first += kRows) {
    const int64_t rows = keys - first < kRows ? keys - first : kRows;
    for (int64_t h = 0; h < heads * group; h++) {
      const float *weights = p + h * weightStride + first,
                  *values = v + first * valueStride + h / group * size;
      float* sums = out + h * size;
      for (int64_t e = 0; e < size; e += W) {
        const int64_t lanes = size - e < W ? size - e : W;
        vf total = loadn(sums + e, lanes);
        for (int64_t j = 0; j < rows; j++)
          total = fma(set(weights[j]), loadn(values + j * valueStride + e, lanes), total);
        storen(sums + e, total, lanes);
      }
    }
  }
}

}  // namespace peft::PEFT_ISA
