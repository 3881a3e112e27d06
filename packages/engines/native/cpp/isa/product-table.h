// The product functions of one set of instructions.
#pragma once
#include "../vector/pack.h"
#include "../vector/tile.h"

namespace peft::PEFT_ISA {

template <class Words, class Dot>
constexpr ProductKernels productKernels() {
  return {kTileRows,     kTileVectors * W,  Words::kPerWord, packS<Words>,       packV<Words>,
          multiply<Dot>, multiplyInto<Dot>, storeSums,       storeSumsTransposed};
}

}  // namespace peft::PEFT_ISA
