// Memory aligned to cache lines, owned by one pointer.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#ifdef _WIN32
#include <malloc.h>
#endif

namespace peft {

constexpr size_t kAlignment = 64;

/** At least `bytes` bytes, aligned to 64, not initialised. Throws std::bad_alloc. */
inline void* alignedAllocate(size_t bytes) {
  if (bytes > SIZE_MAX - kAlignment) throw std::bad_alloc();
  size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (rounded == 0) rounded = kAlignment;
#ifdef _WIN32
  void* memory = _aligned_malloc(rounded, kAlignment);
#else
  void* memory = std::aligned_alloc(kAlignment, rounded);
#endif
  if (!memory) throw std::bad_alloc();
  return memory;
}

inline void alignedFree(void* memory) {
#ifdef _WIN32
  _aligned_free(memory);
#else
  std::free(memory);
#endif
}

}  // namespace peft
