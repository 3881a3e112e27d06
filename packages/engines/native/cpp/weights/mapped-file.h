// A read-only span of a file in memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "mapping-guard.h"
#include "watched-file.h"

namespace peft {

struct FileError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class MappedFile {
 public:
  /** Maps bytes [offset, offset+length). Throws FileError when the file cannot be opened or is
   * shorter. */
  MappedFile(const std::string& path, int64_t offset, int64_t length);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  const uint8_t* data() const { return data_; }

  /** FileError when the file was shortened or written to since it was mapped: what was read since
   * is not to be used. */
  void check() const;

 private:
  std::string path_;
  void* base_ = nullptr;
  size_t mapped_ = 0;
  const uint8_t* data_ = nullptr;
  std::unique_ptr<MappingGuard> guard_;
  std::shared_ptr<WatchedFile> watched_;
};

}  // namespace peft
