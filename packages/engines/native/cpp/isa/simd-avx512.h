// Sixteen float32 lanes: AVX-512 F, BW, DQ, VL. The vocabulary that vector/ is written in; simd-*.h
// all provide the same.
#pragma once
#include <immintrin.h>
#include <cstdint>

namespace peft::PEFT_ISA {

constexpr int W = 16;  // float32 lanes

struct vf {
  __m512 v;
};
struct vi {
  __m512i v;
};  // 32-bit lanes
using vm = __mmask16;

inline __mmask16 firstLanes(int64_t n) {
  return n >= W ? 0xffff : static_cast<__mmask16>((1u << n) - 1);
}

// --- memory; the …n forms touch n lanes only (0 … W), the others read as 0 ---
inline vf load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
inline vf loadn(const float* p, int64_t n) {
  return n >= W ? load(p) : vf{_mm512_maskz_loadu_ps(firstLanes(n), p)};
}
inline void store(float* p, vf a) {
  _mm512_storeu_ps(p, a.v);
}
inline void storen(float* p, vf a, int64_t n) {
  n >= W ? store(p, a) : _mm512_mask_storeu_ps(p, firstLanes(n), a.v);
}
inline vi loadi(const void* p) {
  return {_mm512_loadu_si512(p)};
}
inline vi loadin(const void* p, int64_t n) {
  return {_mm512_maskz_loadu_epi32(firstLanes(n), p)};
}
inline void storei(void* p, vi a) {
  _mm512_storeu_si512(p, a.v);
}
inline void storein(void* p, vi a, int64_t n) {
  _mm512_mask_storeu_epi32(p, firstLanes(n), a.v);
}
inline vi loadU16(const uint16_t* p) {
  return {_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline void storeU16(uint16_t* p, vi a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(a.v));
}
inline vi loadI8(const int8_t* p) {
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline vi loadU8(const uint8_t* p) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline vf loadF16(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline void storeF16(uint16_t* p, vf a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}

// --- float ---
inline vf set(float a) {
  return {_mm512_set1_ps(a)};
}
inline vf zero() {
  return {_mm512_setzero_ps()};
}
inline vf operator+(vf a, vf b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline vf operator-(vf a, vf b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline vf operator*(vf a, vf b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline vf operator/(vf a, vf b) {
  return {_mm512_div_ps(a.v, b.v)};
}
inline vf fma(vf a, vf b, vf c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}  // a·b + c
inline vf min(vf a, vf b) {
  return {_mm512_min_ps(a.v, b.v)};
}  // b where either is NaN
inline vf max(vf a, vf b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline vf sqrt(vf a) {
  return {_mm512_sqrt_ps(a.v)};
}
inline vf abs(vf a) {
  return {_mm512_abs_ps(a.v)};
}
inline vm lt(vf a, vf b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ);
}
inline vm gt(vf a, vf b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ);
}
inline vm ge(vf a, vf b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ);
}
inline vm isNaN(vf a) {
  return _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
}
inline vf select(vm m, vf a, vf b) {
  return {_mm512_mask_blend_ps(m, b.v, a.v)};
}  // m ? a : b
inline float sum(vf a) {
  return _mm512_reduce_add_ps(a.v);
}
inline float maximum(vf a) {
  return _mm512_reduce_max_ps(a.v);
}

// --- integer ---
inline vi seti(int32_t a) {
  return {_mm512_set1_epi32(a)};
}
inline vi iota() {
  return {_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)};
}
inline vi operator+(vi a, vi b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
inline vi operator-(vi a, vi b) {
  return {_mm512_sub_epi32(a.v, b.v)};
}
inline vi operator*(vi a, vi b) {
  return {_mm512_mullo_epi32(a.v, b.v)};
}
inline vi operator&(vi a, vi b) {
  return {_mm512_and_si512(a.v, b.v)};
}
inline vi operator|(vi a, vi b) {
  return {_mm512_or_si512(a.v, b.v)};
}
inline vi operator^(vi a, vi b) {
  return {_mm512_xor_si512(a.v, b.v)};
}
template <int n>
inline vi shl(vi a) {
  return {_mm512_slli_epi32(a.v, n)};
}
template <int n>
inline vi shr(vi a) {
  return {_mm512_srli_epi32(a.v, n)};
}  // fills with 0
inline vi roundToInt(vf a) {
  return {_mm512_cvtps_epi32(a.v)};
}
inline vi truncateToInt(vf a) {
  return {_mm512_cvttps_epi32(a.v)};
}
inline vf toFloat(vi a) {
  return {_mm512_cvtepi32_ps(a.v)};
}
inline vi bits(vf a) {
  return {_mm512_castps_si512(a.v)};
}
inline vf fromBits(vi a) {
  return {_mm512_castsi512_ps(a.v)};
}

/** Entry `index & 15` of a table of 16; `map` applies a function of vf to its parts. */
struct Table16 {
  __m512 v;
};
inline Table16 table16(const float* p) {
  return {_mm512_loadu_ps(p)};
}
template <class F>
inline Table16 map(Table16 t, F f) {
  return {f(vf{t.v}).v};
}
inline vf look(Table16 t, vi index) {
  return {_mm512_permutexvar_ps(index.v, t.v)};
}

/** Stores a0 b0 a1 b1 …, 2·W floats. */
inline void storeInterleaved(float* p, vf a, vf b) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high =
      _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  _mm512_storeu_ps(p, _mm512_permutex2var_ps(a.v, low, b.v));
  _mm512_storeu_ps(p + 16, _mm512_permutex2var_ps(a.v, high, b.v));
}

/** r[i] lane j ↔ r[j] lane i. */
inline void transposeLanes(vi* r) {
  __m512i t[16], u[16];
  for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i].v, r[2 * i + 1].v);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i].v, r[2 * i + 1].v);
  }
  for (int i = 0; i < 4; i++) {
    u[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    u[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(u[i], u[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_i32x4(u[8 + i], u[12 + i], 0x88);
    t[8 + i] = _mm512_shuffle_i32x4(u[i], u[4 + i], 0xdd);
    t[12 + i] = _mm512_shuffle_i32x4(u[8 + i], u[12 + i], 0xdd);
  }
  for (int i = 0; i < 4; i++) {
    r[i].v = _mm512_shuffle_i32x4(t[i], t[4 + i], 0x88);
    r[8 + i].v = _mm512_shuffle_i32x4(t[i], t[4 + i], 0xdd);
    r[4 + i].v = _mm512_shuffle_i32x4(t[8 + i], t[12 + i], 0x88);
    r[12 + i].v = _mm512_shuffle_i32x4(t[8 + i], t[12 + i], 0xdd);
  }
}

/** Products: rows of the broadcast operand and vectors of the other that one tile takes. */
constexpr int kTileRows = 14;
constexpr int kTileVectors = 2;
/** Rows of a product up to which stored rows are turned, see vector/few-rows.h. */
constexpr int kFewRows = 24;

}  // namespace peft::PEFT_ISA
