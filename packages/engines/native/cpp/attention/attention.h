// Scaled dot-product attention over a packed batch, forward and backward. See AttentionAttributes
// in @peft/ops for what the fields mean, core/attention-tile.h for the formula of a score.
//
// q, y, dq, dy [Nq, H·E]; k, v, dk, dv [Nk, Hkv·E]; extra keys and values [P, Hkv·E]; bias [H, S];
// logSumExp [Nq, H]. Work is cut into (sequence, head) and blocks of queries; memory grows with the
// block, not with the length.
#pragma once
#include <cstdint>

namespace peft {

/** Wider heads are refused: a tile keeps the results of a whole head. */
constexpr int64_t kLargestHead = 16384;

struct AttentionProblem {
  const float *q, *k, *v;
  const float* bias = nullptr;
  const float *extraKeys = nullptr, *extraValues = nullptr;
  const int32_t *queryOffsets, *keyOffsets;  // [sequences + 1]
  const int32_t* keyStarts = nullptr;        // [sequences]: where keys begin, forward only
  int64_t sequences;
  int64_t heads, keyValueHeads, headSize;
  float scale, softCap = 0;
  bool causal = false;
  int64_t window = 0;
  const int32_t* biasIndex = nullptr;
  int64_t biasIndexLength = 0, biasOrigin = 0, biasColumns = 0;
  int64_t extra = 0;
  float rate = 0;
  uint32_t key0 = 0, key1 = 0;
  bool bf16 = false;

  int64_t queryWidth() const { return heads * headSize; }
  int64_t keyWidth() const { return keyValueHeads * headSize; }
  /** Row of k and v that the keys of a sequence begin at. */
  int64_t keyRow(int64_t sequence) const {
    return keyStarts ? keyStarts[sequence] : keyOffsets[sequence];
  }
  int64_t keyHead(int64_t head) const { return head / (heads / keyValueHeads); }
};

void attentionForward(const AttentionProblem& problem, float* y, float* logSumExp);

struct AttentionGradients {
  const float *y, *logSumExp, *dy;
  float *dq, *dk, *dv;
  float* dbias = nullptr;
  float *dextraKeys = nullptr, *dextraValues = nullptr;
};

void attentionBackward(const AttentionProblem& problem, const AttentionGradients& gradients);

}  // namespace peft
