#define PEFT_ISA avx2
#include "simd-avx2.h"
#include "table.h"
#include "tables.h"

namespace peft::avx2 {

const KernelTable& table() {
  static const KernelTable instance = makeTable();
  return instance;
}

}  // namespace peft::avx2
