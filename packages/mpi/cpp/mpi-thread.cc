#include "mpi-thread.h"

#include <chrono>
#include <cstdlib>
#include <thread>

namespace peft {
namespace {

using Clock = std::chrono::steady_clock;

/** A message that is already under way ends within it: asked for without a pause. */
constexpr auto kBusy = std::chrono::milliseconds(1);
/** Between two questions after that: what a wait costs a core stays small. */
constexpr auto kPause = std::chrono::microseconds(100);
/** How long the others get to hear of an abort. */
constexpr auto kAbortTime = std::chrono::seconds(5);

}  // namespace

MpiThread::MpiThread(std::string path, WhenStarted whenStarted) {
  // it may be within MPI when the process ends, so nobody waits for it
  std::thread([this, path = std::move(path), whenStarted = std::move(whenStarted)] {
    run(path, whenStarted);
  }).detach();
}

void MpiThread::submit(const Operation& operation, Ended ended) {
  const std::lock_guard lock(mutex_);
  tasks_.push_back({operation, std::move(ended)});
  changed_.notify_one();
}

void MpiThread::finish(Ended ended) {
  const std::lock_guard lock(mutex_);
  tasks_.push_back({std::nullopt, std::move(ended)});
  changed_.notify_one();
}

void MpiThread::abort(int exitCode) {
  {
    const std::lock_guard lock(mutex_);
    abortCode_ = exitCode;
    changed_.notify_one();
  }
  std::this_thread::sleep_for(kAbortTime);
  std::_Exit(exitCode);
}

void MpiThread::run(const std::string& path, const WhenStarted& whenStarted) {
  Loaded loaded;
  Ranks ranks;
  try {
    loaded = load(path);
    ranks = loaded.library->start();
  } catch (const std::exception& error) {
    whenStarted({}, error.what());
    return;
  }
  whenStarted({ranks, loaded.version}, "");
  loop(*loaded.library);
}

void MpiThread::loop(Library& library) {
  auto lastChange = Clock::now();
  for (;;) {
    if (takeTasks()) lastChange = Clock::now();
    if (abortCode_) {
      library.abort(*abortCode_);
      std::_Exit(*abortCode_);
    }
    while (!taken_.empty()) {
      Task task = std::move(taken_.front());
      taken_.pop_front();
      if (task.operation) {
        begin(library, task);
        continue;
      }
      std::string problem;
      try {
        library.finish();
      } catch (const MpiError& error) {
        problem = error.what();
      }
      task.ended(problem);
      return;
    }
    const size_t before = running_.size();
    poll();
    if (running_.size() < before) lastChange = Clock::now();
    if (Clock::now() - lastChange < kBusy)
      std::this_thread::yield();
    else if (!running_.empty())
      std::this_thread::sleep_for(kPause);
  }
}

/** Waits for tasks when nothing is under way. Whether there were any. */
bool MpiThread::takeTasks() {
  std::unique_lock lock(mutex_);
  if (running_.empty()) changed_.wait(lock, [this] { return !tasks_.empty() || abortCode_; });
  taken_.swap(tasks_);
  return !taken_.empty();
}

void MpiThread::begin(Library& library, Task& task) {
  try {
    running_.push_back({library.begin(*task.operation), std::move(task.ended)});
  } catch (const MpiError& error) {
    task.ended(error.what());
  }
}

void MpiThread::poll() {
  for (auto each = running_.begin(); each != running_.end();) {
    std::string problem;
    bool isOver = true;
    try {
      isOver = each->pending->isDone();
    } catch (const MpiError& error) {
      problem = error.what();
    }
    if (isOver) each->ended(problem);
    each = isOver ? running_.erase(each) : std::next(each);
  }
}

}  // namespace peft
