#include "arena.h"

#include "pages.h"

namespace peft {
namespace {

/** A grow-only block; growing drops the content. */
class AlignedBlock {
 public:
  AlignedBlock() = default;
  AlignedBlock(const AlignedBlock&) = delete;
  AlignedBlock& operator=(const AlignedBlock&) = delete;
  ~AlignedBlock() { freeMemory(memory_, capacity_); }

  void* reserve(size_t bytes) {
    if (bytes > capacity_) {
      freeMemory(memory_, capacity_);
      memory_ = nullptr;
      capacity_ = 0;
      memory_ = allocateMemory(bytes);
      capacity_ = bytes;
    }
    return memory_;
  }

 private:
  void* memory_ = nullptr;
  size_t capacity_ = 0;
};

}  // namespace

void* scratchBytes(Scratch purpose, size_t bytes) {
  static thread_local AlignedBlock blocks[static_cast<int>(Scratch::kCount)];
  return blocks[static_cast<int>(purpose)].reserve(bytes);
}

}  // namespace peft
