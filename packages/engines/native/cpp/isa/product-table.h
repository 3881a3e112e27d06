// The product functions of one set of instructions.
#pragma once
#include "../vector/few-rows.h"
#include "../vector/pack.h"
#include "../vector/tile.h"

namespace peft::PEFT_ISA {

template <class Words, class Dot>
constexpr ProductKernels productKernels() {
  ProductKernels kernels{};
  static_assert(kTileRows <= kMostTileRows);
  kernels.tileRows = kTileRows;
  kernels.blockRows = kTileRows;
  kernels.tileColumns = kTileVectors * W;
  kernels.elementsPerWord = Words::kPerWord;
  kernels.fewRows = kFewRows;
  kernels.packS = packS<Words>;
  kernels.packV = packV<Words>;
  kernels.multiply = multiply<Dot>;
  kernels.multiplyInto = multiplyInto<Dot>;
  kernels.multiplyFew = multiplyFew<Words, Dot>;
  kernels.store = storeSums;
  kernels.storeTransposed = storeSumsTransposed;
  return kernels;
}

}  // namespace peft::PEFT_ISA
