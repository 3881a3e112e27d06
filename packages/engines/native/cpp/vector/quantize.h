// 4-bit and 8-bit codes of float32 values, by bitsandbytes' rules.
//   nf4, fp4: block maximum m = max |x|; a whole block is multiplied by 1/m, a short one divided by
//   m (m at least 1e-38);
//             the code counts the thresholds that the value exceeds.
//   int8:     row maximum m of the values rounded to float16; code = round(x·(127/m)), to nearest
//   even.
#pragma once
#include <cmath>
#include <cstdint>
#include "decode.h"

namespace peft::PEFT_ISA {

/** Midpoints between neighbouring NF4 values. */
static const float kNf4Thresholds[15] = {
    -0.8480964004993439f,  -0.6106329262256622f,  -0.4599952697753906f,   -0.33967943489551544f,
    -0.23460740596055984f, -0.13791173696517944f, -0.045525018125772476f, 0.03979014977812767f,
    0.1202552504837513f,   0.2035212516784668f,   0.2920137718319893f,    0.3893125355243683f,
    0.5016634166240692f,   0.6427869200706482f,   0.8614784181118011f};

/** Thresholds of the magnitude and, by how many it exceeds, the code without sign. */
static const float kFp4Thresholds[7] = {0.00260417f, 0.0859375f, 0.20833333f, 0.29166667f,
                                        0.4166667f,  0.583333f,  0.8333333f};
alignas(64) static const float kFp4CodeOfRank[16] = {0, 1, 6, 7, 4, 5, 2, 3};

inline float maximumMagnitude(const float* x, int64_t count) {
  vf most = zero();
  int64_t i = 0;
  for (; i + W <= count; i += W) most = max(abs(load(x + i)), most);
  if (i < count) most = max(abs(loadn(x + i, count - i)), most);
  return maximum(most);
}

inline vi nf4Code(vf x) {
  vf code = zero();
  for (float threshold : kNf4Thresholds)
    code = code + select(gt(x, set(threshold)), set(1.0f), zero());
  return truncateToInt(code);
}

inline vi fp4Code(vf x) {
  const vf magnitude = abs(x);
  vf rank = zero();
  for (float threshold : kFp4Thresholds)
    rank = rank + select(gt(magnitude, set(threshold)), set(1.0f), zero());
  const vf sign = select(lt(x, zero()), set(8.0f), zero());
  return truncateToInt(look(table16(kFp4CodeOfRank), truncateToInt(rank)) + sign);
}

/** values [count] from the start of a block; maxima one a block; packed [ceil(count/2)]; a missing
 * last element counts as 0. */
inline void quantizeFourBit(const float* values, int64_t count, int64_t blockSize, bool fp4,
                            float* maxima, uint8_t* packed) {
  int32_t codes[64];
  for (int64_t begin = 0; begin < count; begin += blockSize) {
    const int64_t length = count - begin < blockSize ? count - begin : blockSize;
    const float* x = values + begin;
    const float most = maximumMagnitude(x, length);
    const float divisor = most > 1e-38f ? most : 1e-38f;
    *maxima++ = most;
    const vf factor = set(length == blockSize ? 1.0f / divisor : divisor);
    for (int64_t i = 0; i < length; i += 64) {
      const int64_t run = length - i < 64 ? length - i : 64;
      for (int64_t j = 0; j < run; j += W) {
        const vf loaded = loadn(x + i + j, run - j);
        const vf scaled = length == blockSize ? loaded * factor : loaded / factor;
        storei(codes + j, fp4 ? fp4Code(scaled) : nf4Code(scaled));
      }
      uint8_t* out = packed + (begin + i) / 2;
      for (int64_t j = 0; j + 1 < run; j += 2)
        *out++ = static_cast<uint8_t>(codes[j] << 4 | codes[j + 1]);
      if (run & 1) *out = static_cast<uint8_t>(codes[run - 1] << 4 | (fp4 ? 0 : 7));
    }
  }
}

/** One row; returns its maximum. `values` is rounded to float16 in place. */
inline float quantizeRowInt8(float* values, int64_t count, int8_t* codes) {
  uint16_t half[W];
  float lane[W];
  int64_t i = 0;
  for (; i + W <= count; i += W) {
    storeF16(half, load(values + i));
    store(values + i, loadF16(half));
  }
  for (; i < count; i++) values[i] = halfToFloat(floatToHalf(values[i]));
  const float most = maximumMagnitude(values, count);
  const vf factor = set(most > 0.0f ? 127.0f / most : 0.0f);
  int32_t rounded[W];
  for (i = 0; i < count; i += W) {
    store(lane, loadn(values + i, count - i) * factor);
    storei(rounded, roundToInt(load(lane)));
    for (int64_t j = 0; j < W && i + j < count; j++) codes[i + j] = static_cast<int8_t>(rounded[j]);
  }
  return most;
}

inline void encodeBfloat(const float* x, int64_t count, uint16_t* out) {
  int64_t i = 0;
  for (; i + W <= count; i += W) {
    const vf a = load(x + i);
    const vf quiet = fromBits((bits(a) & seti(static_cast<int32_t>(0xffff0000u))) | seti(0x400000));
    storeU16(out + i, shr<16>(bits(select(isNaN(a), quiet, roundToBf16(a)))));
  }
  for (; i < count; i++) out[i] = floatToBfloat(x[i]);
}

inline void encodeHalf(const float* x, int64_t count, uint16_t* out) {
  int64_t i = 0;
  for (; i + W <= count; i += W) storeF16(out + i, load(x + i));
  for (; i < count; i++) out[i] = floatToHalf(x[i]);
}

}  // namespace peft::PEFT_ISA
