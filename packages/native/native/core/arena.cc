#include "arena.h"

namespace peft {

void* scratchBytes(Scratch purpose, size_t bytes) {
  static thread_local AlignedBlock blocks[static_cast<int>(Scratch::kCount)];
  return blocks[static_cast<int>(purpose)].reserve(bytes);
}

}  // namespace peft
