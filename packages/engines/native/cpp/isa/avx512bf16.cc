// Products with bf16 instructions; everything else is what AVX-512 has.
#define PEFT_ISA avx512bf16
#define PEFT_HAS_BF16 1
#include "simd-avx512.h"
#include "product-table.h"
#include "tables.h"

namespace peft::avx512bf16 {

const KernelTable& table() {
  static const KernelTable instance = [] {
    KernelTable t = avx512::table();
    t.bf16 = productKernels<BfloatWords, BfloatDot>();
    t.hasBf16 = true;
    return t;
  }();
  return instance;
}

}  // namespace peft::avx512bf16
