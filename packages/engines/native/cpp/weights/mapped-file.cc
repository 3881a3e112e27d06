#include "mapped-file.h"

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#endif

namespace peft {
namespace {

std::string tooShort(const std::string& path, int64_t offset, int64_t length, int64_t size) {
  return path + " has " + std::to_string(size) + " bytes, but bytes " + std::to_string(offset) +
         " to " + std::to_string(offset + length) + " were asked for.";
}

}  // namespace

#ifdef _WIN32

MappedFile::MappedFile(const std::string& path, int64_t offset, int64_t length) : path_(path) {
  int wide = MultiByteToWideChar(CP_UTF8, 0, path.c_str(), -1, nullptr, 0);
  std::wstring name(static_cast<size_t>(wide), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, path.c_str(), -1, name.data(), wide);
  HANDLE file = CreateFileW(name.c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING,
                            FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE)
    throw FileError("cannot open " + path + ": error " + std::to_string(GetLastError()) + ".");
  LARGE_INTEGER size;
  if (!GetFileSizeEx(file, &size) || offset > size.QuadPart || length > size.QuadPart - offset) {
    CloseHandle(file);
    throw FileError(tooShort(path, offset, length, size.QuadPart));
  }
  if (length == 0) {
    CloseHandle(file);
    return;
  }
  SYSTEM_INFO system;
  GetSystemInfo(&system);
  const int64_t aligned = offset / system.dwAllocationGranularity * system.dwAllocationGranularity;
  mapped_ = static_cast<size_t>(length + offset - aligned);
  HANDLE mapping = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
  CloseHandle(file);
  if (mapping) {
    base_ = MapViewOfFile(mapping, FILE_MAP_READ, static_cast<DWORD>(aligned >> 32),
                          static_cast<DWORD>(aligned), mapped_);
    CloseHandle(mapping);
  }
  if (!base_)
    throw FileError("cannot map " + path + ": error " + std::to_string(GetLastError()) + ".");
  data_ = static_cast<const uint8_t*>(base_) + (offset - aligned);
}

MappedFile::~MappedFile() {
  if (base_) UnmapViewOfFile(base_);
}

#else

MappedFile::MappedFile(const std::string& path, int64_t offset, int64_t length) : path_(path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw FileError("cannot open " + path + ": " + std::strerror(errno) + ".");
  struct stat status;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(file);
    throw FileError(path + " is not a regular file.");
  }
  const int64_t size = static_cast<int64_t>(status.st_size);
  if (offset > size || length > size - offset) {
    close(file);
    throw FileError(tooShort(path, offset, length, size));
  }
  if (length == 0) {
    close(file);
    return;
  }
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t aligned = offset / page * page;
  mapped_ = static_cast<size_t>(length + offset - aligned);
  void* base = mmap(nullptr, mapped_, PROT_READ, MAP_PRIVATE, file, static_cast<off_t>(aligned));
  if (base == MAP_FAILED) {
    const int error = errno;
    close(file);
    throw FileError("cannot map " + path + ": " + std::strerror(error) + ".");
  }
  base_ = base;
  guard_ = std::make_unique<MappingGuard>(base_, mapped_);
  watched_ = WatchedFile::of(file);
  data_ = static_cast<const uint8_t*>(base_) + (offset - aligned);
}

MappedFile::~MappedFile() {
  guard_.reset();
  if (base_) munmap(base_, mapped_);
}

#endif

void MappedFile::check() const {
#ifndef _WIN32
  const bool isCut = guard_ && guard_->wasCut();
  if (!isCut && (!watched_ || !watched_->changed())) return;
  throw FileError(path_ + " was " + (isCut ? "shortened" : "written to") +
                  " while its weights were in use.");
#endif
}

}  // namespace peft
