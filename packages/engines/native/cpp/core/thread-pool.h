// A small persistent pool. Work is a list of independent tasks; which thread runs a task never
// changes what it computes.
#pragma once
#include <algorithm>
#include <cstdint>

namespace peft {

/** Threads that take part in `parallel`, the caller included. */
int threadCount();

/** 1 … 256; 0 for `PEFT_NUM_THREADS`, or all cores. Waits for running work of other callers. */
void setThreadCount(int count);

using TaskFunction = void (*)(void* context, int64_t task);

/** Runs task 0 … tasks−1, each once, and returns when all are done. Runs them here when the pool
 * serves another caller. */
void runTasks(int64_t tasks, TaskFunction function, void* context);

/** `body(task)` for each task. `body` must not throw and must not call `parallel`. */
template <class Body>
void parallel(int64_t tasks, Body&& body) {
  runTasks(
      tasks,
      [](void* context, int64_t task) {
        (*static_cast<std::remove_reference_t<Body>*>(context))(task);
      },
      &body);
}

/** `body(begin, end)` over ranges of [0, count) of at least `minimum` items; cut points are
 * multiples of `multiple`. */
template <class Body>
void parallelRanges(int64_t count, int64_t minimum, int64_t multiple, Body&& body) {
  if (count <= 0) return;
  int64_t pieces = std::min<int64_t>(threadCount() * 2, count / std::max<int64_t>(minimum, 1));
  if (threadCount() == 1 || pieces <= 1) {
    body(int64_t{0}, count);
    return;
  }
  int64_t units = (count + multiple - 1) / multiple;
  pieces = std::min(pieces, units);
  parallel(pieces, [&](int64_t piece) {
    int64_t begin = units * piece / pieces * multiple;
    int64_t end = std::min(count, units * (piece + 1) / pieces * multiple);
    if (begin < end) body(begin, end);
  });
}

}  // namespace peft
