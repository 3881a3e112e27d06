#include "pages.h"

#include "aligned.h"

#include <cstdint>
#include <new>
#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace peft {

#ifdef _WIN32

void* allocatePages(size_t bytes) {
  void* memory = VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  if (!memory) throw std::bad_alloc();
  return memory;
}

void preferLargePages(void*, size_t) {}

void freePages(void* memory, size_t) {
  VirtualFree(memory, 0, MEM_RELEASE);
}

void discardPages(void* memory, size_t bytes) {
  VirtualAlloc(memory, bytes, MEM_RESET, PAGE_READWRITE);
}

#else

namespace {

constexpr size_t kLargePage = size_t{2} << 20;

void* mapPages(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return memory;
}

}  // namespace

/** From a large page's size on at a boundary of one: what is mapped too much on either side goes
 * back. */
void* allocatePages(size_t bytes) {
  if (bytes < kLargePage || bytes > SIZE_MAX - kLargePage) return mapPages(bytes);
  char* memory = static_cast<char*>(mapPages(bytes + kLargePage));
  const size_t before =
      (kLargePage - reinterpret_cast<uintptr_t>(memory) % kLargePage) % kLargePage;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t end = (before + bytes + page - 1) / page * page;
  if (before > 0) munmap(memory, before);
  if (end < bytes + kLargePage) munmap(memory + end, bytes + kLargePage - end);
  return memory + before;
}

void preferLargePages(void* memory, size_t bytes) {
#ifdef __linux__
  if (bytes >= kLargePage) madvise(memory, bytes / kLargePage * kLargePage, MADV_HUGEPAGE);
#endif
}

void freePages(void* memory, size_t bytes) {
  munmap(memory, bytes);
}

void discardPages(void* memory, size_t bytes) {
#ifdef __linux__
  madvise(memory, bytes, MADV_DONTNEED);
#else
  madvise(memory, bytes, MADV_FREE);
#endif
}

#endif

void* allocateMemory(size_t bytes) {
  if (bytes < kPagesFrom) return alignedAllocate(bytes);
  void* memory = allocatePages(bytes);
  preferLargePages(memory, bytes);
  return memory;
}

void freeMemory(void* memory, size_t bytes) {
  if (!memory) return;
  if (bytes < kPagesFrom)
    alignedFree(memory);
  else
    freePages(memory, bytes);
}

}  // namespace peft
