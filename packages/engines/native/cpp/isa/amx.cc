// Products with bf16 tiles (Intel AMX); everything else is what AVX-512 BF16 has.
#include "../tiles/products.h"
#include "tables.h"

namespace peft::amx {

const KernelTable& table() {
  static const KernelTable instance = [] {
    KernelTable t = avx512bf16::table();
    t.bf16.tileRows = kRows;
    t.bf16.blockRows = 2 * kRows;
    t.bf16.fewRows = 0;  // rows that lie along k are tiles as they are
    t.bf16.multiply = multiply;
    t.bf16.multiplyInto = multiplyInto;
    t.bf16.multiplyStored = multiplyStored;
    return t;
  }();
  return instance;
}

}  // namespace peft::amx
