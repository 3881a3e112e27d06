#include "exports.h"

namespace peft {

void exportAttention(Exports&) {}

}  // namespace peft
