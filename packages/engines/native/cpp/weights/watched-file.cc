#ifndef _WIN32
#include "watched-file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <mutex>
#include <vector>

namespace peft {

bool WatchedFile::look(int file, State& state) {
  struct stat status;
  if (fstat(file, &status) != 0) return false;
#ifdef __APPLE__
  const timespec& written = status.st_mtimespec;
#else
  const timespec& written = status.st_mtim;
#endif
  state = {static_cast<int64_t>(status.st_dev), static_cast<int64_t>(status.st_ino),
           static_cast<int64_t>(status.st_size), static_cast<int64_t>(written.tv_sec),
           static_cast<int64_t>(written.tv_nsec)};
  return true;
}

std::shared_ptr<WatchedFile> WatchedFile::of(int file) {
  static std::mutex mutex;
  static std::vector<std::weak_ptr<WatchedFile>> living;
  State state;
  if (!look(file, state)) {
    close(file);
    return nullptr;
  }
  const std::lock_guard<std::mutex> lock(mutex);
  std::erase_if(living, [](const auto& entry) { return entry.expired(); });
  for (const auto& entry : living) {
    std::shared_ptr<WatchedFile> known = entry.lock();
    if (!known || !(known->state_ == state)) continue;
    close(file);
    return known;
  }
  std::shared_ptr<WatchedFile> fresh(new WatchedFile(file, state));
  living.push_back(fresh);
  return fresh;
}

WatchedFile::~WatchedFile() {
  close(file_);
}

bool WatchedFile::changed() const {
  State now;
  return !look(file_, now) || !(now == state_);
}

}  // namespace peft
#endif
