// Memory straight from the system in whole pages, which can be given back without giving up the addresses.
#pragma once
#include <cstddef>

namespace peft {

/** At least `bytes` bytes on a page boundary, zero when first read. Throws std::bad_alloc. */
void* allocatePages(size_t bytes);
void freePages(void* memory, size_t bytes);
/** Gives the physical memory back; the content is lost, the addresses stay valid. */
void discardPages(void* memory, size_t bytes);

}  // namespace peft
