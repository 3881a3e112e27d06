// The thread that all calls of MPI come from. It waits for operations, begins them, and asks now
// and then whether they have ended, so that it never stands still within MPI.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "library.h"

namespace peft {

/** Called on the thread with what went wrong; empty when nothing did. */
using Ended = std::function<void(const std::string& problem)>;

class MpiThread {
 public:
  /** Loads a library and starts MPI on a new thread. */
  struct Started {
    Ranks ranks;
    std::string version;
  };
  using WhenStarted = std::function<void(const Started& started, const std::string& problem)>;
  MpiThread(std::string path, WhenStarted whenStarted);

  void submit(const Operation& operation, Ended ended);
  /** Ends MPI after what was submitted before, and the thread. */
  void finish(Ended ended);
  /** Ends all ranks and does not return. */
  [[noreturn]] void abort(int exitCode);

 private:
  struct Task {
    std::optional<Operation> operation;  // none: finish
    Ended ended;
  };
  struct Running {
    std::unique_ptr<Pending> pending;
    Ended ended;
  };
  void run(const std::string& path, const WhenStarted& whenStarted);
  void loop(Library& library);
  bool takeTasks();
  void begin(Library& library, Task& task);
  void poll();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  std::optional<int> abortCode_;
  // of the thread alone
  std::deque<Task> taken_;
  std::list<Running> running_;
};

}  // namespace peft
