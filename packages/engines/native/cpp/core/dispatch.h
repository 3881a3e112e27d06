// Which set of instructions computes.
#pragma once
#include <string>
#include <vector>
#include "kernel-table.h"

namespace peft {

/** The table in use: the best that the processor has, or the one chosen by `setInstructionSet`. */
const KernelTable& kernels();

/** Names of the sets that this processor has, best first. */
std::vector<std::string> instructionSets();

std::string instructionSet();

/** False when the processor lacks it. */
bool setInstructionSet(const std::string& name);

}  // namespace peft
