// A read-only span of a file in memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

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

 private:
  void* base_ = nullptr;
  size_t mapped_ = 0;
  const uint8_t* data_ = nullptr;
};

}  // namespace peft
