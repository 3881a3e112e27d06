// What the processor and the operating system support.
#pragma once

namespace peft {

bool cpuHasAvx2();    // AVX2, FMA, F16C
bool cpuHasAvx512();  // F, BW, DQ, VL
bool cpuHasAvx512Bf16();
bool cpuHasAvx512Vbmi();
/** AMX bf16 tiles, which the system lets this process use. */
bool cpuHasAmx();  // and BF16

}  // namespace peft
