#include "thread-pool.h"

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace peft {
namespace {

constexpr int kSpins = 4000;  // about 50 µs before a worker sleeps

inline void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
  asm volatile("yield");
#endif
}

/** One call of runTasks. Lives as long as a thread may look at it, hence shared. */
struct Job {
  TaskFunction function;
  void* context;
  int64_t tasks;
  std::atomic<int64_t> next{0};
  std::atomic<int64_t> done{0};

  void work() {
    for (;;) {
      int64_t task = next.fetch_add(1, std::memory_order_relaxed);
      if (task >= tasks) return;
      function(context, task);
      done.fetch_add(1, std::memory_order_release);
    }
  }
};

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
    auto job = std::make_shared<Job>();
    job->function = function;
    job->context = context;
    job->tasks = tasks;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = job;
      generation_.fetch_add(1, std::memory_order_release);
    }
    if (sleeping_.load(std::memory_order_seq_cst) > 0) wake_.notify_all();
    job->work();
    for (int spins = 0; job->done.load(std::memory_order_acquire) < tasks; spins++) {
      if (spins < kSpins) relax();
      else std::this_thread::yield();
    }
  }

 private:
  void start(int threads) {
    stopping_ = false;
    for (int i = 1; i < threads; i++) {
      try {
        workers_.emplace_back([this, seen = generation_.load()] { loop(seen); });
      } catch (const std::system_error&) {
        break;  // the system gives no more threads: go on with those there are
      }
    }
    threads_ = static_cast<int>(workers_.size()) + 1;
  }

  void stop() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
  }

  void loop(uint64_t seen) {
    for (;;) {
      for (int spins = 0; spins < kSpins && generation_.load(std::memory_order_acquire) == seen; spins++) relax();
      std::shared_ptr<Job> job;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        if (generation_.load(std::memory_order_relaxed) == seen) {
          sleeping_.fetch_add(1, std::memory_order_seq_cst);
          wake_.wait(lock, [&] { return generation_.load(std::memory_order_relaxed) != seen; });
          sleeping_.fetch_sub(1, std::memory_order_relaxed);
        }
        seen = generation_.load(std::memory_order_relaxed);
        if (stopping_) return;
        job = job_;
      }
      if (job) job->work();
    }
  }

  std::mutex owner_;  // held by the caller whose job runs
  std::mutex mutex_;  // guards job_, stopping_ and the change of generation_
  std::condition_variable wake_;
  std::shared_ptr<Job> job_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> sleeping_{0};
  std::atomic<int> threads_{1};
  std::vector<std::thread> workers_;
  bool stopping_ = false;
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

int threadCount() { return pool().threads(); }

void setThreadCount(int count) { pool().resize(count == 0 ? defaultThreads() : count); }

void runTasks(int64_t tasks, TaskFunction function, void* context) { pool().run(tasks, function, context); }

}  // namespace peft
