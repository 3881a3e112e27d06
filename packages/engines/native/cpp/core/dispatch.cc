#include "dispatch.h"

#include <atomic>

#include "../isa/tables.h"
#include "cpu.h"

namespace peft {
namespace {

struct Entry {
  const char* name;
  bool (*present)();
  const KernelTable& (*table)();
};

/** The first that is present is taken where nothing else was asked for. */
const Entry kEntries[] = {
#if defined(PEFT_X86)
#if defined(PEFT_COMPILED_AMX)
    {"amx", cpuHasAmx, amx::table},
#endif
#if defined(PEFT_COMPILED_AVX512BF16)
    {"avx512bf16", cpuHasAvx512Bf16, avx512bf16::table},
#endif
    {"avx512", cpuHasAvx512, avx512::table},
    {"avx2", cpuHasAvx2, avx2::table},
#elif defined(PEFT_ARM64)
    {"neon", [] { return true; }, neon::table},
#endif
    {"portable", [] { return true; }, portable::table},
};

std::atomic<const Entry*> chosen{nullptr};

const Entry& current() {
  const Entry* entry = chosen.load(std::memory_order_acquire);
  if (entry) return *entry;
  for (const Entry& candidate : kEntries) {
    if (!candidate.present()) continue;
    chosen.store(&candidate, std::memory_order_release);
    return candidate;
  }
  return kEntries[0];  // not reached: the portable set is always present
}

}  // namespace

const KernelTable& kernels() {
  return current().table();
}

std::string instructionSet() {
  return current().name;
}

std::vector<std::string> instructionSets() {
  std::vector<std::string> names;
  for (const Entry& entry : kEntries)
    if (entry.present()) names.emplace_back(entry.name);
  return names;
}

bool setInstructionSet(const std::string& name) {
  for (const Entry& entry : kEntries) {
    if (name != entry.name || !entry.present()) continue;
    chosen.store(&entry, std::memory_order_release);
    return true;
  }
  return false;
}

}  // namespace peft
