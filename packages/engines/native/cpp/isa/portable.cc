#define PEFT_ISA portable
#include "simd-portable.h"
#include "table.h"
#include "tables.h"

namespace peft::portable {

const KernelTable& table() {
  static const KernelTable instance = makeTable();
  return instance;
}

}  // namespace peft::portable
