#include "block-types.h"

#include "../core/dispatch.h"
#include "../core/thread-pool.h"
#include "k-block-values.h"
#include "small-blocks.h"

namespace peft {
namespace {

/** Values that a thread takes at a time. */
constexpr int64_t kValues = 32768;

struct BlockLayout {
  int64_t values, bytes;
};

constexpr BlockLayout kLayouts[] = {{32, 34},  {32, 18},   {32, 20},   {32, 22},   {32, 24},
                                    {256, 84}, {256, 110}, {256, 144}, {256, 176}, {256, 210}};

constexpr BlockLayout layoutOf(BlockType type) {
  return kLayouts[static_cast<int>(type)];
}

void encodeRun(BlockType type, const float* values, int64_t blocks, uint8_t* bytes) {
  switch (type) {
    case BlockType::q8_0:
      return writeQ8(values, blocks, bytes);
    case BlockType::q4_0:
      return writeSymmetric<4>(values, blocks, bytes);
    case BlockType::q5_0:
      return writeSymmetric<5>(values, blocks, bytes);
    case BlockType::q4_1:
      return writeOffset<4>(values, blocks, bytes);
    case BlockType::q5_1:
      return writeOffset<5>(values, blocks, bytes);
    case BlockType::q4_k:
      return kernels().quantizeOffsetBlocks(values, blocks, false, bytes);
    case BlockType::q5_k:
      return kernels().quantizeOffsetBlocks(values, blocks, true, bytes);
    case BlockType::q6_k:
      return kernels().quantizeSignedBlocks(values, blocks, bytes);
    default:
      return;
  }
}

void decodeRun(BlockType type, const uint8_t* bytes, int64_t blocks, float* values) {
  switch (type) {
    case BlockType::q8_0:
      return readQ8(bytes, blocks, values);
    case BlockType::q4_0:
      return readSymmetric<4>(bytes, blocks, values);
    case BlockType::q5_0:
      return readSymmetric<5>(bytes, blocks, values);
    case BlockType::q4_1:
      return readOffset<4>(bytes, blocks, values);
    case BlockType::q5_1:
      return readOffset<5>(bytes, blocks, values);
    case BlockType::q2_k:
      return readQ2K(bytes, blocks, values);
    case BlockType::q3_k:
      return readQ3K(bytes, blocks, values);
    case BlockType::q4_k:
      return readQ4K(bytes, blocks, values);
    case BlockType::q5_k:
      return readQ5K(bytes, blocks, values);
    case BlockType::q6_k:
      return readQ6K(bytes, blocks, values);
  }
}

/** `run(first, count)` over pairs of blocks. */
template <class Run>
void eachRun(BlockType type, int64_t blocks, Run&& run) {
  parallelRanges(blocks, kValues / blockValues(type), 2,
                 [&](int64_t begin, int64_t end) { run(begin, end - begin); });
}

}  // namespace

int64_t blockValues(BlockType type) {
  return layoutOf(type).values;
}

int64_t blockBytes(BlockType type) {
  return layoutOf(type).bytes;
}

bool isWritable(BlockType type) {
  return type != BlockType::q2_k && type != BlockType::q3_k;
}

void encodeBlocks(BlockType type, const float* values, int64_t blocks, uint8_t* bytes) {
  const BlockLayout layout = layoutOf(type);
  eachRun(type, blocks, [&](int64_t first, int64_t count) {
    encodeRun(type, values + first * layout.values, count, bytes + first * layout.bytes);
  });
}

void decodeBlocks(BlockType type, const uint8_t* bytes, int64_t blocks, float* values) {
  const BlockLayout layout = layoutOf(type);
  eachRun(type, blocks, [&](int64_t first, int64_t count) {
    decodeRun(type, bytes + first * layout.bytes, count, values + first * layout.values);
  });
}

}  // namespace peft
