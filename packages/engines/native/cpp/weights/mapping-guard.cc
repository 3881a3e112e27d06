#include "mapping-guard.h"

#ifdef _WIN32

namespace peft {

MappingGuard::MappingGuard(const void*, size_t) {}
MappingGuard::~MappingGuard() = default;
bool MappingGuard::wasCut() const {
  return false;
}

}  // namespace peft

#else

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>

namespace peft {

/** Read by the signal handler: `begin` is set last and cleared first. */
struct GuardedRange {
  std::atomic<uintptr_t> begin{0}, end{0};
  std::atomic<bool> wasCut{false};
};

namespace {

/** Ranges in blocks that are never freed, so that the handler can walk them without a lock. */
struct Block {
  static constexpr int kRanges = 256;
  GuardedRange ranges[kRanges];
  std::atomic<Block*> next{nullptr};
};

static_assert(std::atomic<uintptr_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free,
              "the handler must not wait for a lock");

Block firstBlock;
std::mutex registering;
uintptr_t pageSize = 4096;
struct sigaction previous;

GuardedRange* rangeOf(uintptr_t address) {
  for (Block* block = &firstBlock; block; block = block->next.load(std::memory_order_acquire))
    for (GuardedRange& range : block->ranges) {
      const uintptr_t begin = range.begin.load(std::memory_order_acquire);
      if (begin != 0 && address >= begin && address < range.end.load(std::memory_order_relaxed))
        return &range;
    }
  return nullptr;
}

/** Zeros from the page of `address` to the end of its range. Threads may do so at the same time. */
bool putZeros(uintptr_t address) {
  GuardedRange* range = rangeOf(address);
  if (!range) return false;
  const uintptr_t page = address / pageSize * pageSize;
  void* at = reinterpret_cast<void*>(page);
  if (mmap(at, range->end.load(std::memory_order_relaxed) - page, PROT_READ,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
    return false;
  range->wasCut.store(true, std::memory_order_release);
  return true;
}

void onBusError(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  if (info->si_code > 0 && putZeros(reinterpret_cast<uintptr_t>(info->si_addr))) {
    errno = error;
    return;
  }
  if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(signal, info, context);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)
    return previous.sa_handler(signal);
  struct sigaction plain = {};
  plain.sa_handler = SIG_DFL;
  sigaction(signal, &plain, nullptr);
  raise(signal);  // delivered when this handler returns
}

/** Once a process, when the first file is mapped; `registering` is held. */
void installHandler() {
  static bool isInstalled = false;
  if (isInstalled) return;
  isInstalled = true;
  pageSize = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  struct sigaction ours = {};
  ours.sa_sigaction = onBusError;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&ours.sa_mask);
  sigaction(SIGBUS, nullptr, &previous);
  sigaction(SIGBUS, &ours, nullptr);
}

GuardedRange* freeRange() {
  Block* last = &firstBlock;
  for (Block* block = last; block; block = block->next.load(std::memory_order_relaxed)) {
    for (GuardedRange& range : block->ranges)
      if (range.begin.load(std::memory_order_relaxed) == 0) return &range;
    last = block;
  }
  Block* more = new Block();
  last->next.store(more, std::memory_order_release);
  return &more->ranges[0];
}

}  // namespace

MappingGuard::MappingGuard(const void* base, size_t bytes) {
  const std::lock_guard<std::mutex> lock(registering);
  installHandler();
  range_ = freeRange();
  const uintptr_t begin = reinterpret_cast<uintptr_t>(base);
  range_->wasCut.store(false, std::memory_order_relaxed);
  range_->end.store(begin + (bytes + pageSize - 1) / pageSize * pageSize,
                    std::memory_order_relaxed);
  range_->begin.store(begin, std::memory_order_release);
}

MappingGuard::~MappingGuard() {
  const std::lock_guard<std::mutex> lock(registering);
  range_->begin.store(0, std::memory_order_release);
}

bool MappingGuard::wasCut() const {
  return range_->wasCut.load(std::memory_order_acquire);
}

}  // namespace peft

#endif
