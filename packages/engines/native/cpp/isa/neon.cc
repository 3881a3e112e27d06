#define PEFT_ISA neon
#include "simd-neon.h"
#include "table.h"
#include "tables.h"

namespace peft::neon {

const KernelTable& table() {
  static const KernelTable instance = makeTable();
  return instance;
}

}  // namespace peft::neon
