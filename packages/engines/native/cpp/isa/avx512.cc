#define PEFT_ISA avx512
#include "simd-avx512.h"
#include "table.h"
#include "tables.h"

namespace peft::avx512 {

const KernelTable& table() {
  static const KernelTable instance = makeTable();
  return instance;
}

}  // namespace peft::avx512
