// The values of K blocks. Layouts and formulas stand in packages/hub/src/gguf/blocks/k-blocks.ts.
#pragma once
#include <cstdint>

#include "small-blocks.h"

namespace peft {

inline void readQ2K(const uint8_t* bytes, int64_t blocks, float* y) {
  for (int64_t block = 0; block < blocks; block++, bytes += 84) {
    const float scale = halfAt(bytes + 80), low = halfAt(bytes + 82);
    for (int g = 0; g < 16; g++, y += 16) {  // 16 values each
      const float d = scale * static_cast<float>(bytes[g] & 15);
      const float m = low * static_cast<float>(bytes[g] >> 4);
      const uint8_t* from = bytes + 16 + 32 * (g >> 3) + 16 * (g & 1);
      const int shift = 2 * ((g >> 1) & 3);
      for (int i = 0; i < 16; i++) y[i] = d * static_cast<float>((from[i] >> shift) & 3) - m;
    }
  }
}

inline void readQ3K(const uint8_t* bytes, int64_t blocks, float* y) {
  for (int64_t block = 0; block < blocks; block++, bytes += 110) {
    const float scale = halfAt(bytes + 108);
    const uint8_t* packed = bytes + 96;
    for (int g = 0; g < 16; g++, y += 16) {
      const int low = g < 8 ? packed[g] & 15 : packed[g - 8] >> 4;
      const int high = (packed[8 + (g & 3)] >> (2 * (g >> 2))) & 3;
      const float d = scale * static_cast<float>((low | high << 4) - 32);
      const uint8_t* from = bytes + 32 + 32 * (g >> 3) + 16 * (g & 1);
      const uint8_t* third = bytes + 16 * (g & 1);
      const int shift = 2 * ((g >> 1) & 3);
      for (int i = 0; i < 16; i++) {
        const int code = (from[i] >> shift & 3) - ((third[i] >> (g >> 1)) & 1 ? 0 : 4);
        y[i] = d * static_cast<float>(code);
      }
    }
  }
}

/** Six bits each of eight scales and minima, see k-scales.ts. */
inline void readScales(const uint8_t* bytes, uint8_t* scales, uint8_t* minima) {
  for (int i = 0; i < 4; i++) {
    const uint8_t a = bytes[i], b = bytes[4 + i], c = bytes[8 + i];
    scales[i] = a & 63;
    minima[i] = b & 63;
    scales[i + 4] = static_cast<uint8_t>((c & 15) | ((a >> 2) & 48));
    minima[i + 4] = static_cast<uint8_t>(c >> 4 | ((b >> 2) & 48));
  }
}

/** Q4_K, or with fifth bits Q5_K. */
template <bool fiveBits>
void readOffsetK(const uint8_t* bytes, int64_t blocks, float* y) {
  uint8_t scales[8], minima[8];
  for (int64_t block = 0; block < blocks; block++) {
    const float scale = halfAt(bytes), low = halfAt(bytes + 2);
    readScales(bytes + 4, scales, minima);
    const uint8_t* fifth = bytes + 16;
    const uint8_t* from = fifth + (fiveBits ? 32 : 0);
    for (int g = 0; g < 8; g++, y += 32) {
      const float d = scale * static_cast<float>(scales[g]);
      const float m = low * static_cast<float>(minima[g]);
      const uint8_t* pair = from + 32 * (g >> 1);
      const int shift = 4 * (g & 1);
      for (int i = 0; i < 32; i++) {
        int code = (pair[i] >> shift) & 15;
        if constexpr (fiveBits) code |= ((fifth[i] >> g) & 1) << 4;
        y[i] = d * static_cast<float>(code) - m;
      }
    }
    bytes = from + 128;
  }
}

inline void readQ4K(const uint8_t* bytes, int64_t blocks, float* y) {
  readOffsetK<false>(bytes, blocks, y);
}

inline void readQ5K(const uint8_t* bytes, int64_t blocks, float* y) {
  readOffsetK<true>(bytes, blocks, y);
}

inline void readQ6K(const uint8_t* bytes, int64_t blocks, float* y) {
  for (int64_t block = 0; block < blocks; block++, bytes += 210) {
    const float scale = halfAt(bytes + 208);
    for (int g = 0; g < 16; g++, y += 16) {
      const float d = scale * static_cast<float>(static_cast<int8_t>(bytes[192 + g]));
      const int half = g >> 3, quarter = (g >> 1) & 3;
      // quarters 0 and 1 are the low halves of 64 bytes, 2 and 3 their high ones
      const uint8_t* low = bytes + 64 * half + 32 * (quarter & 1) + 16 * (g & 1);
      const uint8_t* high = bytes + 128 + 32 * half + 16 * (g & 1);
      for (int i = 0; i < 16; i++) {
        const int code = ((low[i] >> (4 * (quarter >> 1))) & 15) | ((high[i] >> (2 * quarter)) & 3)
                                                                       << 4;
        y[i] = d * static_cast<float>(code - 32);
      }
    }
  }
}

}  // namespace peft
