// An open file that weights were mapped from, and whether it is still what it was then.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

namespace peft {

/** Closed when the last weight of it is freed. Not on Windows, where a mapped file is not written.
 */
class WatchedFile {
 public:
  /** Takes the open file over; weights of one file share one. Null where it cannot be looked at. */
  static std::shared_ptr<WatchedFile> of(int file);
  WatchedFile(const WatchedFile&) = delete;
  WatchedFile& operator=(const WatchedFile&) = delete;
  ~WatchedFile();

  /** Whether it has another length or was written to. */
  bool changed() const;

 private:
  struct State {
    int64_t device, number, size, seconds, nanoseconds;
    bool operator==(const State&) const = default;
  };
  static bool look(int file, State& state);
  WatchedFile(int file, const State& state) : file_(file), state_(state) {}

  int file_;
  State state_;
};

}  // namespace peft
