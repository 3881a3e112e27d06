// Eight float32 lanes: AVX2, FMA, F16C. See simd-avx512.h for what each name means.
#pragma once
#include <immintrin.h>
#include <cstdint>
#include <cstring>

namespace peft::PEFT_ISA {

constexpr int W = 8;

struct vf {
  __m256 v;
};
struct vi {
  __m256i v;
};
struct vm {
  __m256 v;
};

inline __m256i firstLanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > 8 ? 8 : static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline vf load(const float* p) {
  return {_mm256_loadu_ps(p)};
}
inline vf loadn(const float* p, int64_t n) {
  return n >= W ? load(p) : vf{_mm256_maskload_ps(p, firstLanes(n))};
}
inline void store(float* p, vf a) {
  _mm256_storeu_ps(p, a.v);
}
inline void storen(float* p, vf a, int64_t n) {
  n >= W ? store(p, a) : _mm256_maskstore_ps(p, firstLanes(n), a.v);
}
inline vi loadi(const void* p) {
  return {_mm256_loadu_si256(static_cast<const __m256i*>(p))};
}
inline vi loadin(const void* p, int64_t n) {
  return {_mm256_maskload_epi32(static_cast<const int*>(p), firstLanes(n))};
}
inline void storei(void* p, vi a) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), a.v);
}
inline void storein(void* p, vi a, int64_t n) {
  _mm256_maskstore_epi32(static_cast<int*>(p), firstLanes(n), a.v);
}
inline vi loadU16(const uint16_t* p) {
  return {_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline void storeU16(uint16_t* p, vi a) {
  __m256i low = _mm256_and_si256(a.v, _mm256_set1_epi32(0xffff));
  __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}
inline vi loadI8(const int8_t* p) {
  return {_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))};
}
inline vi loadU8(const uint8_t* p) {
  return {_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))};
}
inline vf loadF16(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline void storeF16(uint16_t* p, vf a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}

inline vf set(float a) {
  return {_mm256_set1_ps(a)};
}
inline vf zero() {
  return {_mm256_setzero_ps()};
}
inline vf operator+(vf a, vf b) {
  return {_mm256_add_ps(a.v, b.v)};
}
inline vf operator-(vf a, vf b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
inline vf operator*(vf a, vf b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
inline vf operator/(vf a, vf b) {
  return {_mm256_div_ps(a.v, b.v)};
}
inline vf fma(vf a, vf b, vf c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
inline vf min(vf a, vf b) {
  return {_mm256_min_ps(a.v, b.v)};
}
inline vf max(vf a, vf b) {
  return {_mm256_max_ps(a.v, b.v)};
}
inline vf sqrt(vf a) {
  return {_mm256_sqrt_ps(a.v)};
}
inline vf abs(vf a) {
  return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)};
}
inline vm lt(vf a, vf b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)};
}
inline vm gt(vf a, vf b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)};
}
inline vm ge(vf a, vf b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ)};
}
inline vm isNaN(vf a) {
  return {_mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q)};
}
inline vf select(vm m, vf a, vf b) {
  return {_mm256_blendv_ps(b.v, a.v, m.v)};
}
inline float sum(vf a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
inline float maximum(vf a) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

inline vi seti(int32_t a) {
  return {_mm256_set1_epi32(a)};
}
inline vi iota() {
  return {_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)};
}
inline vi operator+(vi a, vi b) {
  return {_mm256_add_epi32(a.v, b.v)};
}
inline vi operator-(vi a, vi b) {
  return {_mm256_sub_epi32(a.v, b.v)};
}
inline vi operator*(vi a, vi b) {
  return {_mm256_mullo_epi32(a.v, b.v)};
}
inline vi operator&(vi a, vi b) {
  return {_mm256_and_si256(a.v, b.v)};
}
inline vi operator|(vi a, vi b) {
  return {_mm256_or_si256(a.v, b.v)};
}
inline vi operator^(vi a, vi b) {
  return {_mm256_xor_si256(a.v, b.v)};
}
template <int n>
inline vi shl(vi a) {
  return {_mm256_slli_epi32(a.v, n)};
}
template <int n>
inline vi shr(vi a) {
  return {_mm256_srli_epi32(a.v, n)};
}
inline vi roundToInt(vf a) {
  return {_mm256_cvtps_epi32(a.v)};
}
inline vi truncateToInt(vf a) {
  return {_mm256_cvttps_epi32(a.v)};
}
inline vf toFloat(vi a) {
  return {_mm256_cvtepi32_ps(a.v)};
}
inline vi bits(vf a) {
  return {_mm256_castps_si256(a.v)};
}
inline vf fromBits(vi a) {
  return {_mm256_castsi256_ps(a.v)};
}

struct Table16 {
  __m256 low, high;
};
inline Table16 table16(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
template <class F>
inline Table16 map(Table16 t, F f) {
  return {f(vf{t.low}).v, f(vf{t.high}).v};
}
inline vf look(Table16 t, vi index) {
  __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(index.v, 28));  // sign = bit 3
  return {_mm256_blendv_ps(_mm256_permutevar8x32_ps(t.low, index.v),
                           _mm256_permutevar8x32_ps(t.high, index.v), upper)};
}

inline void storeInterleaved(float* p, vf a, vf b) {
  __m256 low = _mm256_unpacklo_ps(a.v, b.v), high = _mm256_unpackhi_ps(a.v, b.v);
  _mm256_storeu_ps(p, _mm256_permute2f128_ps(low, high, 0x20));
  _mm256_storeu_ps(p + 8, _mm256_permute2f128_ps(low, high, 0x31));
}

inline void transposeLanes(vi* r) {
  __m256i t[8], u[8];
  for (int i = 0; i < 4; i++) {
    t[2 * i] = _mm256_unpacklo_epi32(r[2 * i].v, r[2 * i + 1].v);
    t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i].v, r[2 * i + 1].v);
  }
  for (int i = 0; i < 2; i++) {
    u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    r[i].v = _mm256_permute2x128_si256(u[i], u[4 + i], 0x20);
    r[4 + i].v = _mm256_permute2x128_si256(u[i], u[4 + i], 0x31);
  }
}

constexpr int kTileRows = 6;
constexpr int kTileVectors = 2;
constexpr int kFewRows = 64;

}  // namespace peft::PEFT_ISA
