// Blocks of GGUF files: so many values in so many bytes, as packages/hub/src/gguf/blocks reads and
// writes them, which is the plain twin of everything here.
#pragma once
#include <cstdint>

namespace peft {

enum class BlockType { q8_0, q4_0, q4_1, q5_0, q5_1, q2_k, q3_k, q4_k, q5_k, q6_k };

/** Values of a block, and its bytes. */
int64_t blockValues(BlockType type);
int64_t blockBytes(BlockType type);

/** Whether there is a writer. */
bool isWritable(BlockType type);

/** Values of whole blocks to bytes and back; bytes do not depend on the number of threads. */
void encodeBlocks(BlockType type, const float* values, int64_t blocks, uint8_t* bytes);
void decodeBlocks(BlockType type, const uint8_t* bytes, int64_t blocks, float* values);

}  // namespace peft
