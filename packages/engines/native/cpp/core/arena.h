// Scratch memory of the calling thread, reused from call to call.
#pragma once
#include <cstddef>
#include <cstdint>

namespace peft {

/** One block per purpose, so that uses which are alive together never share one. */
enum class Scratch : int {
  kSharedS,  // packed broadcast operand of a product, read by all threads
  kSharedV,  // packed vector operand of a product, read by all threads
  kTaskS,    // the same for one task
  kTaskV,
  kTile,    // sums of one task
  kDecode,  // decoded rows
  kAddedS,  // what is added to the sums of one task, packed
  kAddedV,
  kPartial,     // partial sums of chunked reductions
  kAttentionA,  // attention: operands and tiles, see attention/
  kAttentionB,
  kAttentionC,
  kAttentionD,
  kAttentionShared,
  kAttentionPartial,
  kLoss,      // logits of a chunk of the vocabulary
  kThinRows,  // low-rank adapters: operands and results of one
  kThinNarrow,
  kThinSums,
  kCount
};

/** `count` elements, 64-byte aligned, content undefined; valid until this thread asks for the same
 * purpose again. */
void* scratchBytes(Scratch purpose, size_t bytes);

template <class T>
T* scratch(Scratch purpose, int64_t count) {
  return static_cast<T*>(scratchBytes(purpose, static_cast<size_t>(count) * sizeof(T)));
}

}  // namespace peft
