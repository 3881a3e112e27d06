// A tile of attention scores: rows are queries, columns keys, r and c counted within the tile.
#pragma once
#include <cstdint>

namespace peft {

/** Beyond any row or column: no limit. */
constexpr int64_t kUnlimited = int64_t{1} << 40;

/**
 * score(r, c) = cap(scale·(product + first addition + second addition)) + bias[c − r] for seenFrom
 * + r ≤ c < seenTo + r, else −infinity; cap(z) = softCap·tanh(z/softCap), or z where softCap is 0.
 */
struct ScoreTile {
  int64_t rows = 0, columns = 0;
  const float* products =
      nullptr;  // sums as core/product-kernels.h lays them out, `productRows` apart
  int64_t productRows = 0;
  const float* additions[2] = {nullptr, nullptr};  // (r, c) at r·additionStrides + c, or null
  int64_t additionStrides[2] = {0, 0};
  float scale = 1, softCap = 0;
  const float* bias = nullptr;  // bias[−rows+1 … columns−1], or null
  int64_t seenFrom = -kUnlimited, seenTo = kUnlimited;
  /** 1; or 0 where all rows stand at one position: r·rowStep takes the place of r in what is seen.
   * The bias is then null. */
  int64_t rowStep = 1;
  // Dropout of probability (r, c), whose number is firstNumber + r·numberStride + c; rate 0: none.
  float rate = 0, kept = 1;
  uint32_t key0 = 0, key1 = 0, firstNumber = 0, numberStride = 0;
};

struct AttentionKernels {
  /**
   * Goes on with a softmax over a further tile: per row, the new maximum, the sum of exponentials
   * so far and by what earlier results are to be multiplied. p [rows][kStrideWords]: e^{score −
   * maximum}, dropped out.
   */
  void (*forward)(const ScoreTile& tile, float* p, float* maximum, float* total, float* rescale);

  /**
   * From dp, laid out as the products, and shifts, factors and delta [rows], with probabilities
   * e^{score − shift}·factor: p [rows][kStrideWords] the probabilities dropped out and ds
   * [rows][kStrideWords] = p·(dropout(dp) − delta)·cap'·scale. Adds what is before cap' and scale
   * to biasGradient[c − r], if there is one.
   */
  void (*backward)(const ScoreTile& tile, const float* dp, const float* shifts,
                   const float* factors, const float* delta, float* p, float* ds,
                   float* biasGradient);

  /**
   * delta [rows] = Σ dy·y over rows of `size` elements, `stride` apart, added up as the float32
   * products dp are: where a probability is 1, y is the key's value to the last bit, and dp − delta
   * is 0 as it must be. What were left of it would be noise without any gradient beside it.
   */
  void (*delta)(const float* dy, const float* y, int64_t stride, int64_t rows, int64_t size,
                float* delta);

  /** sums[r] *= factor[r] for rows of `columns`, laid out as products. */
  void (*scaleRows)(float* sums, int64_t sumRows, int64_t rows, int64_t columns,
                    const float* factor);
};

}  // namespace peft
