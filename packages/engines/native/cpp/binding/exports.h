// The exported functions of each file of this folder.
#pragma once
#include <vector>
#include "../weights/block-types.h"
#include "arguments.h"

namespace peft {

using Exports = std::vector<Export>;

/** The argument is the name of a type of blocks. */
BlockType blockTypeOf(const Arguments& a, size_t index);

void exportMachine(Exports& exports);
void exportWeights(Exports& exports);
void exportProducts(Exports& exports);
void exportNorms(Exports& exports);
void exportActivations(Exports& exports);
void exportAttention(Exports& exports);
void exportBlocks(Exports& exports);
void exportRows(Exports& exports);
void exportElementwise(Exports& exports);
void exportShapes(Exports& exports);
void exportOptimizer(Exports& exports);

}  // namespace peft
