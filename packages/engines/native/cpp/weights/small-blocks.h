// Blocks of 32 values with one scale d (and one minimum m), float16 both: Q8_0, Q4_0, Q4_1, Q5_0
// and Q5_1. The formulas stand in packages/hub/src/gguf/blocks/small-blocks.ts.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "../core/half.h"

namespace peft {

constexpr int kSmallBlock = 32;
constexpr int kHalfBlock = kSmallBlock / 2;

inline float halfAt(const uint8_t* bytes) {
  uint16_t word;
  std::memcpy(&word, bytes, 2);
  return halfToFloat(word);
}

inline void putHalf(float value, uint8_t* bytes) {
  const uint16_t word = floatToHalf(value);
  std::memcpy(bytes, &word, 2);
}

/** 1/scale, 0 for 0. */
inline float inverseOf(float scale) {
  return scale == 0 ? 0.0f : 1.0f / scale;
}

/** What is not finite becomes 0. */
inline int32_t wholePart(double value) {
  return std::fabs(value) < 1e9 ? static_cast<int32_t>(value) : 0;
}

inline void writeQ8(const float* x, int64_t blocks, uint8_t* out) {
  for (int64_t block = 0; block < blocks; block++, x += kSmallBlock, out += 2 + kSmallBlock) {
    float most = 0;
    for (int i = 0; i < kSmallBlock; i++) most = std::max(most, std::fabs(x[i]));
    const float scale = most / 127.0f, inverse = inverseOf(scale);
    putHalf(scale, out);
    for (int i = 0; i < kSmallBlock; i++) {  // half away from zero
      const double place = x[i] * inverse;
      const int32_t magnitude = wholePart(std::fabs(place) + 0.5);
      out[2 + i] = static_cast<uint8_t>(place < 0 ? -magnitude : magnitude);
    }
  }
}

inline void readQ8(const uint8_t* bytes, int64_t blocks, float* y) {
  for (int64_t block = 0; block < blocks; block++, y += kSmallBlock, bytes += 2 + kSmallBlock) {
    const float scale = halfAt(bytes);
    for (int i = 0; i < kSmallBlock; i++)
      y[i] = scale * static_cast<float>(static_cast<int8_t>(bytes[2 + i]));
  }
}

/** Where a block of 4 or 5 bits has its fifth bits and its low ones behind `scales` bytes, and how
 * long it is. */
template <int bits>
struct SmallLayout {
  static constexpr int low(int scales) { return scales + (bits == 5 ? 4 : 0); }
  static constexpr int size(int scales) { return low(scales) + kHalfBlock; }
};

template <int bits>
void putCodes(const uint8_t* codes, uint8_t* out) {
  if constexpr (bits == 5) {
    uint32_t fifth = 0;
    for (int i = 0; i < kSmallBlock; i++) fifth |= static_cast<uint32_t>(codes[i] >> 4) << i;
    std::memcpy(out, &fifth, 4);
    out += 4;
  }
  for (int i = 0; i < kHalfBlock; i++)
    out[i] = static_cast<uint8_t>((codes[i] & 15) | (codes[i + kHalfBlock] & 15) << 4);
}

template <int bits>
void takeCodes(const uint8_t* bytes, uint8_t* codes) {
  uint32_t fifth = 0;
  if constexpr (bits == 5) {
    std::memcpy(&fifth, bytes, 4);
    bytes += 4;
  }
  for (int i = 0; i < kHalfBlock; i++) {
    codes[i] = bytes[i] & 15;
    codes[i + kHalfBlock] = bytes[i] >> 4;
  }
  if constexpr (bits == 5)
    for (int i = 0; i < kSmallBlock; i++)
      codes[i] = static_cast<uint8_t>(codes[i] | ((fifth >> i) & 1) << 4);
}

/** The whole part of a place from 0 on, at most `most`. */
inline uint8_t codeOf(float place, int most) {
  if (!(place > 0)) return 0;
  return static_cast<uint8_t>(place < static_cast<float>(most) ? static_cast<int>(place) : most);
}

/** x = d·(q − 2^(bits − 1)). */
template <int bits>
void writeSymmetric(const float* x, int64_t blocks, uint8_t* out) {
  constexpr int kLevels = 1 << (bits - 1);
  uint8_t codes[kSmallBlock];
  for (int64_t block = 0; block < blocks; block++) {
    float largest = x[0];
    for (int i = 1; i < kSmallBlock; i++)
      if (std::fabs(x[i]) > std::fabs(largest)) largest = x[i];
    const float scale = largest / static_cast<float>(-kLevels), inverse = inverseOf(scale);
    for (int i = 0; i < kSmallBlock; i++)
      codes[i] = codeOf(x[i] * inverse + (static_cast<float>(kLevels) + 0.5f), 2 * kLevels - 1);
    putHalf(scale, out);
    putCodes<bits>(codes, out + 2);
    x += kSmallBlock;
    out += SmallLayout<bits>::size(2);
  }
}

template <int bits>
void readSymmetric(const uint8_t* bytes, int64_t blocks, float* y) {
  constexpr int kLevels = 1 << (bits - 1);
  uint8_t codes[kSmallBlock];
  for (int64_t block = 0; block < blocks; block++) {
    const float scale = halfAt(bytes);
    takeCodes<bits>(bytes + 2, codes);
    for (int i = 0; i < kSmallBlock; i++) y[i] = scale * static_cast<float>(codes[i] - kLevels);
    y += kSmallBlock;
    bytes += SmallLayout<bits>::size(2);
  }
}

/** x = d·q + m. */
template <int bits>
void writeOffset(const float* x, int64_t blocks, uint8_t* out) {
  constexpr int kMost = (1 << bits) - 1;
  uint8_t codes[kSmallBlock];
  for (int64_t block = 0; block < blocks; block++) {
    float low = x[0], high = x[0];
    for (int i = 1; i < kSmallBlock; i++) {
      low = std::min(low, x[i]);
      high = std::max(high, x[i]);
    }
    const float scale = (high - low) / static_cast<float>(kMost), inverse = inverseOf(scale);
    for (int i = 0; i < kSmallBlock; i++) codes[i] = codeOf((x[i] - low) * inverse + 0.5f, kMost);
    putHalf(scale, out);
    putHalf(low, out + 2);
    putCodes<bits>(codes, out + 4);
    x += kSmallBlock;
    out += SmallLayout<bits>::size(4);
  }
}

template <int bits>
void readOffset(const uint8_t* bytes, int64_t blocks, float* y) {
  uint8_t codes[kSmallBlock];
  for (int64_t block = 0; block < blocks; block++) {
    const float scale = halfAt(bytes), least = halfAt(bytes + 2);
    takeCodes<bits>(bytes + 4, codes);
    for (int i = 0; i < kSmallBlock; i++) y[i] = scale * static_cast<float>(codes[i]) + least;
    y += kSmallBlock;
    bytes += SmallLayout<bits>::size(4);
  }
}

}  // namespace peft
