// Memory straight from the system in whole pages, which can be given back without giving up the
// addresses.
#pragma once
#include <cstddef>

namespace peft {

/** At least `bytes` bytes on a page boundary, zero when first read. Throws std::bad_alloc. */
void* allocatePages(size_t bytes);
/** Asks the system to back the first `bytes` bytes by large pages, as far as whole ones fit. A
 * wish; nothing happens where there are none. */
void preferLargePages(void* memory, size_t bytes);
void freePages(void* memory, size_t bytes);
/** Gives the physical memory back; the content is lost, the addresses stay valid. */
void discardPages(void* memory, size_t bytes);

/** From this size on memory comes in pages of its own. */
constexpr size_t kPagesFrom = size_t{1} << 16;

/** `bytes` bytes of memory that will all be used, aligned to 64, not initialised. Throws
 * std::bad_alloc. */
void* allocateMemory(size_t bytes);
void freeMemory(void* memory, size_t bytes);

}  // namespace peft
