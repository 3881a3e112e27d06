// Four float32 lanes: AArch64 Advanced SIMD. See simd-avx512.h for what each name means.
#pragma once
#include <arm_neon.h>
#include <cstdint>
#include <cstring>
#include "../core/half.h"

namespace peft::PEFT_ISA {

constexpr int W = 4;

struct vf {
  float32x4_t v;
};
struct vi {
  uint32x4_t v;
};
struct vm {
  uint32x4_t v;
};

inline size_t laneBytes(int64_t n) {
  return n <= 0 ? 0 : 4 * static_cast<size_t>(n < W ? n : W);
}

inline vf load(const float* p) {
  return {vld1q_f32(p)};
}
inline vf loadn(const float* p, int64_t n) {
  if (n >= W) return load(p);
  float t[W] = {};
  std::memcpy(t, p, laneBytes(n));
  return {vld1q_f32(t)};
}
inline void store(float* p, vf a) {
  vst1q_f32(p, a.v);
}
inline void storen(float* p, vf a, int64_t n) {
  if (n >= W) return store(p, a);
  float t[W];
  vst1q_f32(t, a.v);
  std::memcpy(p, t, laneBytes(n));
}
inline vi loadi(const void* p) {
  uint32_t t[W];
  std::memcpy(t, p, sizeof t);
  return {vld1q_u32(t)};
}
inline vi loadin(const void* p, int64_t n) {
  uint32_t t[W] = {};
  std::memcpy(t, p, laneBytes(n));
  return {vld1q_u32(t)};
}
inline void storei(void* p, vi a) {
  uint32_t t[W];
  vst1q_u32(t, a.v);
  std::memcpy(p, t, sizeof t);
}
inline void storein(void* p, vi a, int64_t n) {
  uint32_t t[W];
  vst1q_u32(t, a.v);
  std::memcpy(p, t, laneBytes(n));
}
inline vi loadU16(const uint16_t* p) {
  return {vmovl_u16(vld1_u16(p))};
}
inline void storeU16(uint16_t* p, vi a) {
  vst1_u16(p, vmovn_u32(a.v));
}
inline vi loadI8(const int8_t* p) {
  int32_t t[W] = {p[0], p[1], p[2], p[3]};
  return {vreinterpretq_u32_s32(vld1q_s32(t))};
}
inline vi loadU8(const uint8_t* p) {
  uint32_t t[W] = {p[0], p[1], p[2], p[3]};
  return {vld1q_u32(t)};
}
inline vf loadF16(const uint16_t* p) {
  return {vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)))};
}
inline void storeF16(uint16_t* p, vf a) {
  vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(a.v)));
}

inline vf set(float a) {
  return {vdupq_n_f32(a)};
}
inline vf zero() {
  return set(0.0f);
}
inline vf operator+(vf a, vf b) {
  return {vaddq_f32(a.v, b.v)};
}
inline vf operator-(vf a, vf b) {
  return {vsubq_f32(a.v, b.v)};
}
inline vf operator*(vf a, vf b) {
  return {vmulq_f32(a.v, b.v)};
}
inline vf operator/(vf a, vf b) {
  return {vdivq_f32(a.v, b.v)};
}
inline vf fma(vf a, vf b, vf c) {
  return {vfmaq_f32(c.v, a.v, b.v)};
}
inline vm lt(vf a, vf b) {
  return {vcltq_f32(a.v, b.v)};
}
inline vm gt(vf a, vf b) {
  return {vcgtq_f32(a.v, b.v)};
}
inline vm ge(vf a, vf b) {
  return {vcgeq_f32(a.v, b.v)};
}
inline vm isNaN(vf a) {
  return {vmvnq_u32(vceqq_f32(a.v, a.v))};
}
inline vf select(vm m, vf a, vf b) {
  return {vbslq_f32(m.v, a.v, b.v)};
}
inline vf min(vf a, vf b) {
  return select(lt(a, b), a, b);
}
inline vf max(vf a, vf b) {
  return select(gt(a, b), a, b);
}
inline vf sqrt(vf a) {
  return {vsqrtq_f32(a.v)};
}
inline vf abs(vf a) {
  return {vabsq_f32(a.v)};
}
inline float sum(vf a) {
  return vaddvq_f32(a.v);
}
inline float maximum(vf a) {
  return vmaxvq_f32(a.v);
}

inline vi seti(int32_t a) {
  return {vdupq_n_u32(static_cast<uint32_t>(a))};
}
inline vi iota() {
  const uint32_t t[W] = {0, 1, 2, 3};
  return {vld1q_u32(t)};
}
inline vi operator+(vi a, vi b) {
  return {vaddq_u32(a.v, b.v)};
}
inline vi operator-(vi a, vi b) {
  return {vsubq_u32(a.v, b.v)};
}
inline vi operator*(vi a, vi b) {
  return {vmulq_u32(a.v, b.v)};
}
inline vi operator&(vi a, vi b) {
  return {vandq_u32(a.v, b.v)};
}
inline vi operator|(vi a, vi b) {
  return {vorrq_u32(a.v, b.v)};
}
inline vi operator^(vi a, vi b) {
  return {veorq_u32(a.v, b.v)};
}
template <int n>
inline vi shl(vi a) {
  return {vshlq_n_u32(a.v, n)};
}
template <int n>
inline vi shr(vi a) {
  return {vshrq_n_u32(a.v, n)};
}
inline vi roundToInt(vf a) {
  return {vreinterpretq_u32_s32(vcvtnq_s32_f32(a.v))};
}
inline vi truncateToInt(vf a) {
  return {vreinterpretq_u32_s32(vcvtq_s32_f32(a.v))};
}
inline vf toFloat(vi a) {
  return {vcvtq_f32_s32(vreinterpretq_s32_u32(a.v))};
}
inline vi bits(vf a) {
  return {vreinterpretq_u32_f32(a.v)};
}
inline vf fromBits(vi a) {
  return {vreinterpretq_f32_u32(a.v)};
}

struct Table16 {
  uint8x16x4_t v;
};
inline Table16 table16(const float* p) {
  const uint8_t* b = reinterpret_cast<const uint8_t*>(p);
  return {{{vld1q_u8(b), vld1q_u8(b + 16), vld1q_u8(b + 32), vld1q_u8(b + 48)}}};
}
template <class F>
inline Table16 map(Table16 t, F f) {
  for (int i = 0; i < 4; i++)
    t.v.val[i] = vreinterpretq_u8_f32(f(vf{vreinterpretq_f32_u8(t.v.val[i])}).v);
  return t;
}
inline vf look(Table16 t, vi index) {
  uint32x4_t first = vmulq_n_u32(vshlq_n_u32(vandq_u32(index.v, vdupq_n_u32(15)), 2), 0x01010101u);
  return {vreinterpretq_f32_u8(
      vqtbl4q_u8(t.v, vreinterpretq_u8_u32(vaddq_u32(first, vdupq_n_u32(0x03020100u)))))};
}

inline void storeInterleaved(float* p, vf a, vf b) {
  float32x4x2_t both = {{a.v, b.v}};
  vst2q_f32(p, both);
}

inline void transposeLanes(vi* r) {
  uint32x4x2_t a = vtrnq_u32(r[0].v, r[1].v), b = vtrnq_u32(r[2].v, r[3].v);
  r[0].v = vcombine_u32(vget_low_u32(a.val[0]), vget_low_u32(b.val[0]));
  r[1].v = vcombine_u32(vget_low_u32(a.val[1]), vget_low_u32(b.val[1]));
  r[2].v = vcombine_u32(vget_high_u32(a.val[0]), vget_high_u32(b.val[0]));
  r[3].v = vcombine_u32(vget_high_u32(a.val[1]), vget_high_u32(b.val[1]));
}

constexpr int kTileRows = 8;
constexpr int kTileVectors = 2;
constexpr int kFewRows = 64;

}  // namespace peft::PEFT_ISA
