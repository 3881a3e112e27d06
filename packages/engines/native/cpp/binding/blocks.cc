// Blocks of GGUF files.
#include "exports.h"

namespace peft {

BlockType blockTypeOf(const Arguments& a, size_t index) {
  return static_cast<BlockType>(
      a.choice(index, "type",
               {"Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"}));
}

namespace {

napi_value encode(const Arguments& a) {
  const BlockType type = blockTypeOf(a, 0);
  if (!isWritable(type)) a.fail("type is one that is only read");
  const int64_t blocks = a.size(3, "blocks");
  const float* values = a.floats(1, "values", product(blocks, blockValues(type)));
  encodeBlocks(type, values, blocks, a.bytes(2, "bytes", product(blocks, blockBytes(type))));
  return nullptr;
}

napi_value decode(const Arguments& a) {
  const BlockType type = blockTypeOf(a, 0);
  const int64_t blocks = a.size(3, "blocks");
  const uint8_t* bytes = a.bytes(1, "bytes", product(blocks, blockBytes(type)));
  decodeBlocks(type, bytes, blocks, a.floats(2, "values", product(blocks, blockValues(type))));
  return nullptr;
}

}  // namespace

void exportBlocks(Exports& exports) {
  exports.push_back({"encodeBlocks", call<encode>});
  exports.push_back({"decodeBlocks", call<decode>});
}

}  // namespace peft
