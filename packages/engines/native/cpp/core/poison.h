// Tells AddressSanitizer which memory is not to be touched; nothing elsewhere.
#pragma once
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define PEFT_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PEFT_POISONS 1
#endif
#endif
#ifdef PEFT_POISONS
#include <sanitizer/asan_interface.h>
#endif

namespace peft {

inline void poison([[maybe_unused]] void* memory, [[maybe_unused]] size_t bytes) {
#ifdef PEFT_POISONS
  __asan_poison_memory_region(memory, bytes);
#endif
}

inline void unpoison([[maybe_unused]] void* memory, [[maybe_unused]] size_t bytes) {
#ifdef PEFT_POISONS
  __asan_unpoison_memory_region(memory, bytes);
#endif
}

}  // namespace peft
