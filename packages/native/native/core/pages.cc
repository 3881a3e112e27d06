#include "pages.h"

#include <new>
#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <sys/mman.h>
#endif

namespace peft {

#ifdef _WIN32

void* allocatePages(size_t bytes) {
  void* memory = VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  if (!memory) throw std::bad_alloc();
  return memory;
}

void freePages(void* memory, size_t) { VirtualFree(memory, 0, MEM_RELEASE); }

void discardPages(void* memory, size_t bytes) { VirtualAlloc(memory, bytes, MEM_RESET, PAGE_READWRITE); }

#else

void* allocatePages(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return memory;
}

void freePages(void* memory, size_t bytes) { munmap(memory, bytes); }

void discardPages(void* memory, size_t bytes) {
#ifdef __linux__
  madvise(memory, bytes, MADV_DONTNEED);
#else
  madvise(memory, bytes, MADV_FREE);
#endif
}

#endif

}  // namespace peft
