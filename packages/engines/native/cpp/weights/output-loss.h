// Cross entropy over a language model's output layer, without its logits.
#pragma once
#include "weight.h"

namespace peft {

/** z = cap(scale·x·Wᵀ + bias), cap(z) = softCap·tanh(z/softCap), or z where softCap is 0. */
struct OutputLayer {
  const Weight& weight;  // [V, D], not transposed
  const float* bias;     // [V] or null
  float scale, softCap;
};

/**
 * loss [n] = ln Σ_v exp z_nv − z_nt, labels inside [0, V). Where dx [n, D] is not null: its
 * derivative by x. The vocabulary is taken a chunk at a time with a running softmax (Milakov and
 * Gimelshein 2018), each chunk read once for all rows: Σ_v e^{z_nv}·W_v is kept relative to the
 * largest z so far and divided by Σ_v e^{z_nv} in the end.
 */
void outputLoss(const OutputLayer& layer, const float* x, const int32_t* labels, int64_t n,
                float* loss, float* dx, bool bf16);

}  // namespace peft
