// K blocks of GGUF as llama.cpp's quantiser makes them without an importance matrix, bit for bit.
// What is computed is told by the plain twin, packages/hub/src/gguf/blocks/quantize-k-*.ts.
//
// The reference adds up a group's values one by one. Sixteen groups are fitted side by side here,
// one a lane, so that every lane's sums run in that order, whatever the width of a vector. A search
// that is over for one lane goes on for the others: where a lane gains nothing, it keeps what it
// has.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "../core/half.h"
#include "transpose.h"

namespace peft::PEFT_ISA {

constexpr int kKBlock = 256;
constexpr int kKLanes = 16;  // groups fitted side by side

/** The nearest integer of a magnitude below 2²², ties to even; beyond it, and for NaN, what the
 * reference's bits say. */
inline int32_t nearestK(float value) {
  return static_cast<int32_t>(floatToBits(value + 12582912.0f) & 0x7fffffu) - 0x400000;
}
inline vf nearestK(vf value) {
  const vi sum = bits(value + set(12582912.0f)) & seti(0x7fffff);
  return toFloat(sum - seti(0x400000));
}
inline vf clampK(vf value, float least, float most) {
  return min(max(value, set(least)), set(most));
}
inline int32_t clampK(int32_t value, int32_t least, int32_t most) {
  return value < least ? least : value > most ? most : value;
}

/** How the scale of a group of 32 is looked for: codes 0 … most, Q in 1/s = Q/(max − min). */
struct OffsetSearch {
  float most, first, step;
  int steps;
};
constexpr OffsetSearch kFourBits = {15, -1.0f, 0.1f, 20};
constexpr OffsetSearch kFiveBits = {31, -0.5f, 0.1f, 15};

/** x ≈ scale·q + minimum; the codes are those of inverse·(x − base), none where inverse is 0. */
struct OffsetFit {
  alignas(64) float scale[kKLanes], minimum[kKLanes], inverse[kKLanes], base[kKLanes];
};

/** x `[32, 16]`: value i of each lane's group. */
inline void fitOffset(const float* x, const OffsetSearch& search, OffsetFit& fit) {
  constexpr int kGroup = 32;
  const vf most = set(search.most);
  for (int lane = 0; lane < kKLanes; lane += W) {
    vf value[kGroup], weight[kGroup], code[kGroup];
    vf squares = zero();
    for (int i = 0; i < kGroup; i++) {
      value[i] = load(x + i * kKLanes + lane);
      squares = squares + value[i] * value[i];
    }
    const vf mean = sqrt(squares / set(static_cast<float>(kGroup)));
    for (int i = 0; i < kGroup; i++) weight[i] = mean + abs(value[i]);
    vf low = value[0], high = value[0], sumW = weight[0], sumX = sumW * value[0];
    for (int i = 1; i < kGroup; i++) {
      low = select(lt(value[i], low), value[i], low);
      high = select(gt(value[i], high), value[i], high);
      sumW = sumW + weight[i];
      sumX = sumX + weight[i] * value[i];
    }
    low = select(gt(low, zero()), zero(), low);

    vf sumCodes, sumCodes2, sumProducts;
    auto choose = [&](vf inverse, vf base) {
      sumCodes = sumCodes2 = sumProducts = zero();
      for (int i = 0; i < kGroup; i++) {
        const vf nearest = nearestK(inverse * (value[i] - base));
        code[i] = clampK(nearest, 0.0f, search.most);
        const vf weighted = weight[i] * code[i];
        sumCodes = sumCodes + weighted;
        sumCodes2 = sumCodes2 + weighted * code[i];
        sumProducts = sumProducts + weighted * value[i];
      }
    };
    auto errorOf = [&](vf scale, vf minimum) {
      vf error = zero();
      for (int i = 0; i < kGroup; i++) {
        const vf difference = scale * code[i] + minimum - value[i];
        error = error + weight[i] * (difference * difference);
      }
      return error;
    };

    vf inverse = most / (high - low), base = low;
    vf scale = set(1.0f) / inverse, minimum = low;
    choose(inverse, base);
    vf best = errorOf(scale, minimum);
    for (int n = 0; n <= search.steps; n++) {
      const float steps = search.first + search.step * static_cast<float>(n) + search.most;
      const vf tried = set(steps) / (high - minimum);
      choose(tried, minimum);
      const vf determinant = sumW * sumCodes2 - sumCodes * sumCodes;
      vf triedScale = (sumW * sumProducts - sumX * sumCodes) / determinant;
      vf triedMinimum = (sumCodes2 * sumX - sumCodes * sumProducts) / determinant;
      const vm isAbove = gt(triedMinimum, zero());
      triedScale = select(isAbove, sumProducts / sumCodes2, triedScale);
      triedMinimum = select(isAbove, zero(), triedMinimum);
      const vf error =
          select(gt(determinant, zero()), errorOf(triedScale, triedMinimum), set(INFINITY));
      const vm isBetter = lt(error, best);
      inverse = select(isBetter, tried, inverse);
      base = select(isBetter, minimum, base);
      best = select(isBetter, error, best);
      scale = select(isBetter, triedScale, scale);
      minimum = select(isBetter, triedMinimum, minimum);
    }
    const vm isSpread = gt(high, low);
    store(fit.scale + lane, select(isSpread, scale, zero()));
    store(fit.minimum + lane, select(isSpread, minimum, low));
    store(fit.inverse + lane, select(isSpread, inverse, zero()));
    store(fit.base + lane, base);
  }
}

/** Codes of a group for 1/d and m. */
inline void offsetCodes(const float* x, float d, float m, float most, int32_t* codes) {
  for (int i = 0; i < 32; i += W) {
    const vf nearest = nearestK((load(x + i) + set(m)) / set(d));
    storei(codes + i, truncateToInt(clampK(nearest, 0.0f, most)));
  }
}

/** One block of which `lane` is the first group. @param head d, m and the packed scales, 16 bytes.
 */
inline void finishOffset(const float* x, const OffsetFit& fit, int lane, float most, uint8_t* head,
                         int32_t* codes) {
  float largestScale = 0, largestMinimum = 0;
  for (int g = 0; g < 8; g++) {
    const float scale = fit.scale[lane + g], minimum = -fit.minimum[lane + g];
    largestScale = scale > largestScale ? scale : largestScale;
    largestMinimum = minimum > largestMinimum ? minimum : largestMinimum;
  }
  const float scaleSteps = largestScale > 0 ? 63.0f / largestScale : 0.0f;
  const float minimumSteps = largestMinimum > 0 ? 63.0f / largestMinimum : 0.0f;
  uint8_t scales[8], minima[8];
  for (int g = 0; g < 8; g++) {
    const auto scale = static_cast<uint8_t>(nearestK(scaleSteps * fit.scale[lane + g]));
    const auto minimum = static_cast<uint8_t>(nearestK(minimumSteps * -fit.minimum[lane + g]));
    scales[g] = scale < 63 ? scale : 63;
    minima[g] = minimum < 63 ? minimum : 63;
  }
  const uint16_t words[2] = {floatToHalf(largestScale / 63.0f),
                             floatToHalf(largestMinimum / 63.0f)};
  std::memcpy(head, words, 4);
  for (int g = 0; g < 4; g++) {
    head[4 + g] = static_cast<uint8_t>(scales[g] | (scales[g + 4] >> 4) << 6);
    head[8 + g] = static_cast<uint8_t>(minima[g] | (minima[g + 4] >> 4) << 6);
    head[12 + g] = static_cast<uint8_t>((scales[g + 4] & 15) | (minima[g + 4] & 15) << 4);
  }
  const float wholeScale = halfToFloat(words[0]), wholeMinimum = halfToFloat(words[1]);
  for (int g = 0; g < 8; g++, x += 32, codes += 32) {
    const float d = wholeScale * static_cast<float>(scales[g]);
    const float m = wholeMinimum * static_cast<float>(minima[g]);
    if (d != 0) {  // NaN, too
      offsetCodes(x, d, m, most, codes);
      continue;
    }
    const float inverse = fit.inverse[lane + g], base = fit.base[lane + g];
    for (int i = 0; i < 32; i++)
      codes[i] = inverse == 0
                     ? 0
                     : clampK(nearestK(inverse * (x[i] - base)), 0, static_cast<int32_t>(most));
  }
}

inline void putFourBits(const int32_t* codes, uint8_t* out) {
  for (int pair = 0; pair < 4; pair++, codes += 64, out += 32)
    for (int i = 0; i < 32; i++)
      out[i] = static_cast<uint8_t>((codes[i] & 15) | (codes[32 + i] & 15) << 4);
}

inline void putFifthBits(const int32_t* codes, uint8_t* out) {
  for (int i = 0; i < 32; i++) {
    int32_t bits = 0;
    for (int g = 0; g < 8; g++) bits |= (codes[32 * g + i] >> 4) << g;
    out[i] = static_cast<uint8_t>(bits);
  }
}

/** Q4_K (144 bytes a block) or, of five bits, Q5_K (176). */
inline void quantizeOffsetBlocks(const float* values, int64_t blocks, bool fiveBits, uint8_t* out) {
  const OffsetSearch& search = fiveBits ? kFiveBits : kFourBits;
  alignas(64) float turned[32 * kKLanes];
  alignas(64) float padded[2 * kKBlock];
  alignas(64) int32_t codes[kKBlock];
  OffsetFit fit;
  for (int64_t block = 0; block < blocks; block += 2) {
    const float* x = values + block * kKBlock;
    if (block + 1 == blocks) {
      std::memset(padded, 0, sizeof padded);
      std::memcpy(padded, x, kKBlock * sizeof(float));
      x = padded;
    }
    transposeWords(reinterpret_cast<const uint32_t*>(x), 32, kKLanes, 32,
                   reinterpret_cast<uint32_t*>(turned), kKLanes);
    fitOffset(turned, search, fit);
    for (int half = 0; half < 2 && block + half < blocks; half++) {
      finishOffset(x + half * kKBlock, fit, 8 * half, search.most, out, codes);
      out += 16;
      if (fiveBits) {
        putFifthBits(codes, out);
        out += 32;
      }
      putFourBits(codes, out);
      out += 128;
    }
  }
}

constexpr float kMostSigned = 32;
/** A group whose values are smaller counts as zeros. */
constexpr float kSmallestK = 1e-15f;

/** x ≈ scale·q; the codes are those of inverse·x, none where inverse is 0. */
struct SignedFit {
  alignas(64) float scale[kKLanes], inverse[kKLanes];
};

/** x `[16, 16]`: value i of each lane's group. */
inline void fitSigned(const float* x, SignedFit& fit) {
  constexpr int kGroup = 16;
  for (int lane = 0; lane < kKLanes; lane += W) {
    vf value[kGroup], weight[kGroup];
    vf largest = zero(), magnitude = zero();
    for (int i = 0; i < kGroup; i++) {
      value[i] = load(x + i * kKLanes + lane);
      weight[i] = value[i] * value[i];
      const vm isLarger = gt(abs(value[i]), magnitude);
      magnitude = select(isLarger, abs(value[i]), magnitude);
      largest = select(isLarger, value[i], largest);
    }
    vf products, squares;
    auto choose = [&](vf inverse) {
      products = squares = zero();
      for (int i = 0; i < kGroup; i++) {
        const vf code = clampK(nearestK(inverse * value[i]), -kMostSigned, kMostSigned - 1);
        products = products + weight[i] * value[i] * code;
        squares = squares + weight[i] * code * code;
      }
    };
    vf inverse = set(-kMostSigned) / largest;
    choose(inverse);
    const vf ratio = products / squares;
    vf scale = select(lt(zero(), squares), ratio, select(isNaN(squares), ratio, zero()));
    vf best = scale * products;
    for (int n = -9; n <= 9; n++) {
      if (n == 0) continue;
      const vf tried = set(-(kMostSigned + 0.1f * static_cast<float>(n))) / largest;
      choose(tried);
      const vm isBetter =
          gt(select(gt(squares, zero()), products * products, set(-INFINITY)), best * squares);
      inverse = select(isBetter, tried, inverse);
      scale = select(isBetter, products / squares, scale);
      best = select(isBetter, scale * products, best);
    }
    const vm isNothing = lt(magnitude, set(kSmallestK));
    store(fit.scale + lane, select(isNothing, zero(), scale));
    store(fit.inverse + lane, select(isNothing, zero(), inverse));
  }
}

/** Q6_K, 210 bytes a block. */
inline void quantizeSignedBlocks(const float* values, int64_t blocks, uint8_t* out) {
  alignas(64) float turned[kKBlock];
  alignas(64) int32_t codes[kKBlock];
  constexpr int32_t kMost = static_cast<int32_t>(kMostSigned);
  SignedFit fit;
  for (int64_t block = 0; block < blocks; block++, values += kKBlock, out += 210) {
    transposeWords(reinterpret_cast<const uint32_t*>(values), 16, kKLanes, 16,
                   reinterpret_cast<uint32_t*>(turned), kKLanes);
    fitSigned(turned, fit);
    float largest = 0, magnitude = 0;
    for (float scale : fit.scale)
      if (std::fabs(scale) > magnitude) {
        magnitude = std::fabs(scale);
        largest = scale;
      }
    if (magnitude < kSmallestK) {
      std::memset(out, 0, 210);
      continue;
    }
    const float steps = -128.0f / largest;
    const uint16_t word = floatToHalf(1.0f / steps);
    std::memcpy(out + 208, &word, 2);
    for (int g = 0; g < 16; g++) {
      const int32_t nearest = nearestK(steps * fit.scale[g]);
      const auto small = static_cast<int8_t>(nearest < 127 ? nearest : 127);
      std::memcpy(out + 192 + g, &small, 1);
      const float d = halfToFloat(word) * static_cast<float>(small);
      const float* x = values + 16 * g;
      int32_t* own = codes + 16 * g;
      for (int i = 0; i < 16; i += W) {
        vf code;
        if (d != 0)
          code = clampK(nearestK(load(x + i) / set(d)), -kMostSigned, kMostSigned - 1);
        else if (fit.inverse[g] != 0)
          code = clampK(nearestK(set(fit.inverse[g]) * load(x + i)), -kMostSigned, kMostSigned - 1);
        else
          code = set(-kMostSigned);
        storei(own + i, truncateToInt(code) + seti(kMost));
      }
    }
    for (int half = 0; half < 2; half++) {
      const int32_t* a = codes + 128 * half;
      uint8_t *low = out + 64 * half, *high = out + 128 + 32 * half;
      for (int i = 0; i < 32; i++) {
        low[i] = static_cast<uint8_t>((a[i] & 15) | (a[i + 64] & 15) << 4);
        low[32 + i] = static_cast<uint8_t>((a[i + 32] & 15) | (a[i + 96] & 15) << 4);
        high[i] = static_cast<uint8_t>(a[i] >> 4 | (a[i + 32] >> 4) << 2 | (a[i + 64] >> 4) << 4 |
                                       (a[i + 96] >> 4) << 6);
      }
    }
  }
}

}  // namespace peft::PEFT_ISA
