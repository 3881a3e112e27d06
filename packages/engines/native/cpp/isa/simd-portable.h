// Eight float32 lanes in plain C++, for processors without a set of their own. See simd-avx512.h
// for what each name means.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include "../core/half.h"

namespace peft::PEFT_ISA {

constexpr int W = 8;

struct vf {
  float v[W];
};
struct vi {
  uint32_t v[W];
};
struct vm {
  bool v[W];
};

#define PEFT_LANES for (int l = 0; l < W; l++)

inline vf load(const float* p) {
  vf r;
  std::memcpy(r.v, p, sizeof r.v);
  return r;
}
inline vf loadn(const float* p, int64_t n) {
  if (n >= W) return load(p);
  vf r;
  PEFT_LANES r.v[l] = l < n ? p[l] : 0.0f;
  return r;
}
inline void store(float* p, vf a) {
  std::memcpy(p, a.v, sizeof a.v);
}
inline void storen(float* p, vf a, int64_t n) {
  if (n >= W) return store(p, a);
  for (int l = 0; l < W && l < n; l++) p[l] = a.v[l];
}
inline vi loadi(const void* p) {
  vi r;
  std::memcpy(r.v, p, sizeof r.v);
  return r;
}
inline vi loadin(const void* p, int64_t n) {
  vi r{};
  if (n > 0) std::memcpy(r.v, p, 4 * static_cast<size_t>(n < W ? n : W));
  return r;
}
inline void storei(void* p, vi a) {
  std::memcpy(p, a.v, sizeof a.v);
}
inline void storein(void* p, vi a, int64_t n) {
  if (n > 0) std::memcpy(p, a.v, 4 * static_cast<size_t>(n < W ? n : W));
}
inline vi loadU16(const uint16_t* p) {
  vi r;
  PEFT_LANES r.v[l] = p[l];
  return r;
}
inline void storeU16(uint16_t* p, vi a) {
  PEFT_LANES p[l] = static_cast<uint16_t>(a.v[l]);
}
inline vi loadI8(const int8_t* p) {
  vi r;
  PEFT_LANES r.v[l] = static_cast<uint32_t>(static_cast<int32_t>(p[l]));
  return r;
}
inline vi loadU8(const uint8_t* p) {
  vi r;
  PEFT_LANES r.v[l] = p[l];
  return r;
}
inline vf loadF16(const uint16_t* p) {
  vf r;
  PEFT_LANES r.v[l] = halfToFloat(p[l]);
  return r;
}
inline void storeF16(uint16_t* p, vf a) {
  PEFT_LANES p[l] = floatToHalf(a.v[l]);
}

inline vf set(float a) {
  vf r;
  PEFT_LANES r.v[l] = a;
  return r;
}
inline vf zero() {
  return set(0.0f);
}
inline vf operator+(vf a, vf b) {
  PEFT_LANES a.v[l] += b.v[l];
  return a;
}
inline vf operator-(vf a, vf b) {
  PEFT_LANES a.v[l] -= b.v[l];
  return a;
}
inline vf operator*(vf a, vf b) {
  PEFT_LANES a.v[l] *= b.v[l];
  return a;
}
inline vf operator/(vf a, vf b) {
  PEFT_LANES a.v[l] /= b.v[l];
  return a;
}
inline vf fma(vf a, vf b, vf c) {
  PEFT_LANES c.v[l] = a.v[l] * b.v[l] + c.v[l];
  return c;
}
inline vf min(vf a, vf b) {
  PEFT_LANES a.v[l] = a.v[l] < b.v[l] ? a.v[l] : b.v[l];
  return a;
}
inline vf max(vf a, vf b) {
  PEFT_LANES a.v[l] = a.v[l] > b.v[l] ? a.v[l] : b.v[l];
  return a;
}
inline vf sqrt(vf a) {
  PEFT_LANES a.v[l] = std::sqrt(a.v[l]);
  return a;
}
inline vf abs(vf a) {
  PEFT_LANES a.v[l] = std::fabs(a.v[l]);
  return a;
}
inline vm lt(vf a, vf b) {
  vm r;
  PEFT_LANES r.v[l] = a.v[l] < b.v[l];
  return r;
}
inline vm gt(vf a, vf b) {
  vm r;
  PEFT_LANES r.v[l] = a.v[l] > b.v[l];
  return r;
}
inline vm ge(vf a, vf b) {
  vm r;
  PEFT_LANES r.v[l] = a.v[l] >= b.v[l];
  return r;
}
inline vm isNaN(vf a) {
  vm r;
  PEFT_LANES r.v[l] = a.v[l] != a.v[l];
  return r;
}
inline vf select(vm m, vf a, vf b) {
  PEFT_LANES a.v[l] = m.v[l] ? a.v[l] : b.v[l];
  return a;
}
inline float sum(vf a) {
  float r = 0;
  PEFT_LANES r += a.v[l];
  return r;
}
inline float maximum(vf a) {
  float r = a.v[0];
  PEFT_LANES r = a.v[l] > r ? a.v[l] : r;
  return r;
}

inline vi seti(int32_t a) {
  vi r;
  PEFT_LANES r.v[l] = static_cast<uint32_t>(a);
  return r;
}
inline vi iota() {
  vi r;
  PEFT_LANES r.v[l] = static_cast<uint32_t>(l);
  return r;
}
inline vi operator+(vi a, vi b) {
  PEFT_LANES a.v[l] += b.v[l];
  return a;
}
inline vi operator-(vi a, vi b) {
  PEFT_LANES a.v[l] -= b.v[l];
  return a;
}
inline vi operator*(vi a, vi b) {
  PEFT_LANES a.v[l] *= b.v[l];
  return a;
}
inline vi operator&(vi a, vi b) {
  PEFT_LANES a.v[l] &= b.v[l];
  return a;
}
inline vi operator|(vi a, vi b) {
  PEFT_LANES a.v[l] |= b.v[l];
  return a;
}
inline vi operator^(vi a, vi b) {
  PEFT_LANES a.v[l] ^= b.v[l];
  return a;
}
template <int n>
inline vi shl(vi a) {
  PEFT_LANES a.v[l] <<= n;
  return a;
}
template <int n>
inline vi shr(vi a) {
  PEFT_LANES a.v[l] >>= n;
  return a;
}
/** Out of range and NaN give INT32_MIN, as the x86 instruction does. */
inline uint32_t toIntChecked(float a) {
  return a >= -2147483648.0f && a < 2147483648.0f ? static_cast<uint32_t>(static_cast<int32_t>(a))
                                                  : 0x80000000u;
}
inline vi roundToInt(vf a) {
  vi r;
  PEFT_LANES r.v[l] = toIntChecked(std::nearbyint(a.v[l]));
  return r;
}
inline vi truncateToInt(vf a) {
  vi r;
  PEFT_LANES r.v[l] = toIntChecked(a.v[l]);
  return r;
}
inline vf toFloat(vi a) {
  vf r;
  PEFT_LANES r.v[l] = static_cast<float>(static_cast<int32_t>(a.v[l]));
  return r;
}
inline vi bits(vf a) {
  vi r;
  PEFT_LANES r.v[l] = floatToBits(a.v[l]);
  return r;
}
inline vf fromBits(vi a) {
  vf r;
  PEFT_LANES r.v[l] = bitsToFloat(a.v[l]);
  return r;
}

struct Table16 {
  float v[16];
};
inline Table16 table16(const float* p) {
  Table16 t;
  std::memcpy(t.v, p, sizeof t.v);
  return t;
}
template <class F>
inline Table16 map(Table16 t, F f) {
  store(t.v, f(load(t.v)));
  store(t.v + 8, f(load(t.v + 8)));
  return t;
}
inline vf look(const Table16& t, vi index) {
  vf r;
  PEFT_LANES r.v[l] = t.v[index.v[l] & 15];
  return r;
}

inline void storeInterleaved(float* p, vf a, vf b) {
  PEFT_LANES {
    p[2 * l] = a.v[l];
    p[2 * l + 1] = b.v[l];
  }
}

inline void transposeLanes(vi* r) {
  for (int i = 0; i < W; i++)
    for (int j = 0; j < i; j++) {
      uint32_t a = r[i].v[j];
      r[i].v[j] = r[j].v[i];
      r[j].v[i] = a;
    }
}

#undef PEFT_LANES

constexpr int kTileRows = 4;
constexpr int kTileVectors = 1;
constexpr int kFewRows = 64;

}  // namespace peft::PEFT_ISA
