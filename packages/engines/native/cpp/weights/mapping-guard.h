// Keeps a mapped file that gets shorter from ending the process: reading a page that the file has
// no longer raises SIGBUS. The handler puts a page of zeros in its place and remembers it; the
// caller asks afterwards. Other SIGBUS are handed on to whoever handled them before.
#pragma once
#include <cstddef>

namespace peft {

struct GuardedRange;

/** Guards [base, base + bytes), whole pages of a mapping, while it lives. Does nothing on Windows,
 * where a mapped file cannot be shortened. */
class MappingGuard {
 public:
  MappingGuard(const void* base, size_t bytes);
  MappingGuard(const MappingGuard&) = delete;
  MappingGuard& operator=(const MappingGuard&) = delete;
  ~MappingGuard();

  /** Whether a page was missing and reads as zeros now. */
  bool wasCut() const;

 private:
  GuardedRange* range_ = nullptr;
};

}  // namespace peft
