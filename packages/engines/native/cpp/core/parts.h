// Parts of one scratch block. Builds with PEFT_CHECK_BOUNDS (debug, sanitizers) end the process
// when more is taken than was reserved, and keep a red zone after each part: poisoned where
// AddressSanitizer is there, else filled with a pattern that is looked for in the end.
#pragma once
#include <cstdint>

#include "arena.h"
#include "poison.h"
#ifdef PEFT_CHECK_BOUNDS
#include <cstdio>
#include <cstdlib>
#endif

namespace peft {

/** Hands out parts of one scratch block, each 64-byte aligned, until it is destroyed. */
class Parts {
 public:
  /** Room for at most kMost parts of `floats` elements together. */
  Parts(Scratch purpose, int64_t floats) : next_(scratch<float>(purpose, floats + kRoom)) {
#ifdef PEFT_CHECK_BOUNDS
    end_ = next_ + floats + kRoom;
#endif
  }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  float* floats(int64_t count) {
    float* part = next_;
    next_ += (count + kUnit - 1) / kUnit * kUnit;
#ifdef PEFT_CHECK_BOUNDS
    closeZone();
#endif
    return part;
  }
  uint32_t* words(int64_t count) {
    return reinterpret_cast<uint32_t*>(floats(count));
  }

#ifdef PEFT_CHECK_BOUNDS
  ~Parts() {
    for (int i = 0; i < zones_; i++) {
      unpoison(zone_[i], kZone * sizeof(float));
#ifndef PEFT_POISONS
      for (int64_t j = 0; j < kZone; j++)
        if (reinterpret_cast<uint32_t*>(zone_[i])[j] != kPattern)
          fail("something was written past a part of scratch memory");
#endif
    }
  }
#endif

 private:
  static constexpr int64_t kMost = 32;
  static constexpr int64_t kUnit = 16;  // floats of 64 bytes
#ifdef PEFT_CHECK_BOUNDS
  static constexpr int64_t kZone = 2 * kUnit;
#else
  static constexpr int64_t kZone = 0;
#endif
  static constexpr int64_t kRoom = kMost * (kUnit + kZone);

#ifdef PEFT_CHECK_BOUNDS
  static constexpr uint32_t kPattern = 0x5afe5afe;

  [[noreturn]] static void fail(const char* problem) {
    std::fprintf(stderr, "peft native: %s\n", problem);
    std::abort();
  }

  void closeZone() {
    if (zones_ == kMost || next_ + kZone > end_)
      fail("more scratch memory was taken than was reserved");
    zone_[zones_++] = next_;
    for (int64_t j = 0; j < kZone; j++) reinterpret_cast<uint32_t*>(next_)[j] = kPattern;
    poison(next_, kZone * sizeof(float));
    next_ += kZone;
  }

  float* end_;
  float* zone_[kMost];
  int zones_ = 0;
#endif
  float* next_;
};

}  // namespace peft
