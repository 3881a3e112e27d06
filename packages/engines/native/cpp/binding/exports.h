// The exported functions of each file of this folder.
#pragma once
#include <vector>
#include "arguments.h"

namespace peft {

using Exports = std::vector<Export>;

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
