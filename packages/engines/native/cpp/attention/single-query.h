// Attention of at most one query per sequence, as in generation, split over the heads of the keys
// and the length of the sequences, so that a long context uses every core. Products stay float32,
// and keys and values are read once for the query heads that share them.
#pragma once
#include "attention.h"

namespace peft {

/** Whether every sequence has one query or none, and nothing is dropped out. */
bool hasSingleQueries(const AttentionProblem& problem);

void singleQueryAttention(const AttentionProblem& problem, float* y, float* logSumExp);

}  // namespace peft
