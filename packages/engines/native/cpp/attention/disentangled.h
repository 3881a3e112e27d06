// DeBERTa's disentangled attention over a packed batch, forward and backward:
// score(i, j) = scale·(q_i·k_j + q_i·pk_{c[i−j]} + k_j·pq_{p[i−j]}), c and p being index tables
// read at i − j + origin, clipped.
//
// q, k, v, y and their gradients [N, H·E]; position keys pk and queries pq [S, H·E], either may be
// null; logSumExp [N, H].
//
// The position tables are laid out by distance once a call, one row for each of the 2T−1 distances.
// Then a position term of a tile is a product of which row r is shifted by r columns: a matrix
// whose rows are one element closer together than it is wide.
#pragma once
#include <cstdint>

namespace peft {

/** Wider heads are refused: a pass over the depth holds a whole head. */
constexpr int64_t kLargestDisentangledHead = 384;

struct DisentangledProblem {
  const float *q, *k, *v;
  const float *positionKeys = nullptr, *positionQueries = nullptr;
  const int32_t* offsets;  // [sequences + 1]
  int64_t sequences;
  int64_t heads, headSize;
  float scale;
  const int32_t *contentToPosition, *positionToContent;
  int64_t contentToPositionLength, positionToContentLength, relativeOrigin;
  int64_t positions;  // S
  float rate = 0;
  uint32_t key0 = 0, key1 = 0;
  bool bf16 = false;

  int64_t width() const { return heads * headSize; }
};

void disentangledForward(const DisentangledProblem& problem, float* y, float* logSumExp);

struct DisentangledGradients {
  const float *y, *logSumExp, *dy;
  float *dq, *dk, *dv;
  float *dpositionKeys = nullptr, *dpositionQueries = nullptr;
};

void disentangledBackward(const DisentangledProblem& problem,
                          const DisentangledGradients& gradients);

}  // namespace peft
