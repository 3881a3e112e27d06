// The kernel tables, one for each set of instructions; each is compiled with its own flags.
#pragma once
#include "../core/kernel-table.h"

#if defined(__x86_64__) || defined(_M_X64)
#define PEFT_X86 1
#elif defined(__aarch64__) || defined(_M_ARM64)
#define PEFT_ARM64 1
#endif

namespace peft {
namespace amx {
const KernelTable& table();
}
namespace avx512bf16 {
const KernelTable& table();
}
namespace avx512 {
const KernelTable& table();
}
namespace avx2 {
const KernelTable& table();
}
namespace neon {
const KernelTable& table();
}
namespace portable {
const KernelTable& table();
}
}  // namespace peft
