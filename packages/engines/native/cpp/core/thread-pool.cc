#include "thread-pool.h"

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace peft {
namespace {

constexpr int kSpins = 8000;  // about 100 µs before a worker sleeps

inline void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
  asm volatile("yield");
#endif
}

/**
 * One job at a time. A job is published by its ticket: generation · 2⁴⁰ + number of the next task.
 * A task is taken by adding one to the ticket with compare-and-swap, which succeeds only while the
 * job that was looked at is still the current one; the ticket is closed while the fields of the
 * next job are written.
 */
class Pool {
 public:
  explicit Pool(int threads) { start(threads); }

  int threads() const { return threads_.load(std::memory_order_relaxed); }

  void resize(int threads) {
    std::lock_guard<std::mutex> guard(owner_);
    stop();
    start(threads);
  }

  void run(int64_t tasks, TaskFunction function, void* context) {
    if (tasks <= 1 || threads() == 1 || !owner_.try_lock()) {
      for (int64_t task = 0; task < tasks; task++) function(context, task);
      return;
    }
    std::lock_guard<std::mutex> guard(owner_, std::adopt_lock);
    const uint64_t generation = (ticket_.load(std::memory_order_relaxed) >> kTaskBits) + 1;
    ticket_.store(generation << kTaskBits | kClosed, std::memory_order_seq_cst);
    function_.store(function, std::memory_order_relaxed);
    context_.store(context, std::memory_order_relaxed);
    tasks_.store(tasks, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    ticket_.store(generation << kTaskBits, std::memory_order_seq_cst);
    if (sleeping_.load(std::memory_order_seq_cst) > 0) {
      {
        std::lock_guard<std::mutex> lock(mutex_);
      }  // a worker about to sleep has looked at the ticket or is asleep
      wake_.notify_all();
    }
    work();
    for (int spins = 0; done_.load(std::memory_order_acquire) < tasks; spins++) {
      if (spins < kSpins)
        relax();
      else
        std::this_thread::yield();
    }
  }

 private:
  static constexpr int kTaskBits = 40;
  static constexpr uint64_t kClosed = (uint64_t{1} << kTaskBits) - 1;

  /** Takes tasks of the current job until there are none. */
  void work() {
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    for (;;) {
      TaskFunction function = function_.load(std::memory_order_relaxed);
      void* context = context_.load(std::memory_order_relaxed);
      const int64_t task = static_cast<int64_t>(ticket & kClosed);
      if (task >= tasks_.load(std::memory_order_relaxed)) return;
      if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire))
        continue;
      function(context, task);
      done_.fetch_add(1, std::memory_order_release);
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }

  void start(int threads) {
    stopping_ = false;
    for (int i = 1; i < threads; i++) {
      try {
        workers_.emplace_back([this, seen = ticket_.load() >> kTaskBits] { loop(seen); });
      } catch (const std::system_error&) {
        break;  // the system gives no more threads: go on with those there are
      }
    }
    threads_ = static_cast<int>(workers_.size()) + 1;
  }

  void stop() {
    stopping_ = true;
    tasks_ = 0;
    ticket_ = ((ticket_.load() >> kTaskBits) + 1) << kTaskBits | kClosed;
    { std::lock_guard<std::mutex> lock(mutex_); }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
  }

  bool isNew(uint64_t seen) const {
    return ticket_.load(std::memory_order_seq_cst) >> kTaskBits != seen;
  }

  void loop(uint64_t seen) {
    for (;;) {
      for (int spins = 0; spins < kSpins && !isNew(seen); spins++) relax();
      if (!isNew(seen)) {
        std::unique_lock<std::mutex> lock(mutex_);
        sleeping_.fetch_add(1, std::memory_order_seq_cst);
        wake_.wait(lock, [&] { return isNew(seen); });
        sleeping_.fetch_sub(1, std::memory_order_seq_cst);
      }
      seen = ticket_.load(std::memory_order_acquire) >> kTaskBits;
      if (stopping_) return;
      // A ticket still closed is opened at once by its owner; tasks_ may be the last job's until
      // then.
      while ((ticket_.load(std::memory_order_acquire) & kClosed) == kClosed && !stopping_) relax();
      work();
    }
  }

  std::mutex owner_;  // held by the caller whose job runs
  std::mutex mutex_;  // for sleeping
  std::condition_variable wake_;
  alignas(64) std::atomic<uint64_t> ticket_{kClosed};
  alignas(64) std::atomic<TaskFunction> function_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<int64_t> tasks_{0};
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<int> sleeping_{0};
  std::atomic<int> threads_{1};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
};

int defaultThreads() {
  if (const char* text = std::getenv("PEFT_NUM_THREADS")) {
    int count = std::atoi(text);
    if (count >= 1) return std::min(count, 256);
  }
  unsigned cores = std::thread::hardware_concurrency();
  return static_cast<int>(std::clamp(cores, 1u, 256u));
}

/** Never destroyed: workers may outlive the statics of the process. */
Pool& pool() {
  static Pool* instance = new Pool(defaultThreads());
  return *instance;
}

}  // namespace

int threadCount() {
  return pool().threads();
}

void setThreadCount(int count) {
  pool().resize(count == 0 ? defaultThreads() : count);
}

void runTasks(int64_t tasks, TaskFunction function, void* context) {
  pool().run(tasks, function, context);
}

}  // namespace peft
