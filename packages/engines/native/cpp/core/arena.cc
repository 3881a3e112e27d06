#include "arena.h"

#include "pages.h"
#include "poison.h"

namespace peft {
namespace {

/** A grow-only block; growing drops the content. What lies past the bytes asked for is poisoned. */
class AlignedBlock {
 public:
  AlignedBlock() = default;
  AlignedBlock(const AlignedBlock&) = delete;
  AlignedBlock& operator=(const AlignedBlock&) = delete;
  ~AlignedBlock() { release(); }

  void* reserve(size_t bytes) {
    if (bytes > capacity_) {
      release();
      memory_ = allocateMemory(bytes);
      capacity_ = bytes;
    }
    unpoison(memory_, bytes);
    poison(static_cast<char*>(memory_) + bytes, capacity_ - bytes);
    return memory_;
  }

 private:
  void release() {
    unpoison(memory_, capacity_);
    freeMemory(memory_, capacity_);
    memory_ = nullptr;
    capacity_ = 0;
  }

  void* memory_ = nullptr;
  size_t capacity_ = 0;
};

}  // namespace

void* scratchBytes(Scratch purpose, size_t bytes) {
  static thread_local AlignedBlock blocks[static_cast<int>(Scratch::kCount)];
  return blocks[static_cast<int>(purpose)].reserve(bytes);
}

}  // namespace peft
