#include "parallel.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

namespace peft {
namespace {

/**
 * One loop at a time. Its fields belong to the mutex, so a late worker sees either the whole of a
 * loop or nothing of it. Between loops workers sleep: TensorFlow's own threads want the cores, and
 * waiting awake for 25,000 pauses cost a tenth of a step.
 */
class Pool {
 public:
  void start(int threads) {
    std::lock_guard<std::mutex> guard(owner_);
    for (; threads_ < threads; threads_++) {
      try {
        std::thread([this] { work(); }).detach();  // ends with the process, as TensorFlow's do
      } catch (const std::system_error&) {
        return;  // the system gives no more threads: go on with those there are
      }
    }
  }

  void run(int64_t pieces, const std::function<void(int64_t)>& body) {
    std::unique_lock<std::mutex> owner(owner_, std::try_to_lock);
    if (pieces <= 1 || !owner.owns_lock() || threads_ == 1) {
      for (int64_t piece = 0; piece < pieces; piece++) body(piece);
      return;
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      body_ = &body;
      pieces_ = pieces;
      next_ = 0;
      unfinished_ = pieces;
      if (sleeping_ > 0) wake_.notify_all();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    while (takePiece(lock)) continue;
    lock.unlock();
    while (unfinished_.load(std::memory_order_acquire) > 0) std::this_thread::yield();
  }

 private:
  /** Runs one piece with the lock given up. False where none is left. */
  bool takePiece(std::unique_lock<std::mutex>& lock) {
    if (next_ >= pieces_) return false;
    const int64_t piece = next_++;
    const auto* body = body_;
    lock.unlock();
    (*body)(piece);
    unfinished_.fetch_sub(1, std::memory_order_release);
    lock.lock();
    return true;
  }

  void work() {
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      sleeping_++;
      wake_.wait(lock, [this] { return next_ < pieces_; });
      sleeping_--;
      while (takePiece(lock)) continue;
    }
  }

  std::mutex owner_;  // held by the caller whose loop runs
  std::mutex mutex_;
  std::condition_variable wake_;
  const std::function<void(int64_t)>* body_ = nullptr;
  int64_t next_ = 0, pieces_ = 0;
  int sleeping_ = 0;
  int threads_ = 1;
  std::atomic<int64_t> unfinished_{0};
};

/** Never destroyed: workers outlive the statics of the process. */
Pool& pool() {
  static Pool* instance = new Pool();
  return *instance;
}

}  // namespace

void setThreads(int count) {
  pool().start(count);
}

void forPieces(int64_t pieces, const std::function<void(int64_t)>& body) {
  pool().run(pieces, body);
}

}  // namespace peft
