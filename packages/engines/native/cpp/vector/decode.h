// A run of stored elements of one row as float32, or rounded to bf16.
// 4-bit values are (code value − zero of the block) · its scale, rounded once to the type asked
// for.
#pragma once
#include <cstdint>
#include <cstring>
#include "../core/codebooks.h"
#include "../core/half.h"
#include "../core/matrix-view.h"

namespace peft::PEFT_ISA {

/** Rounded to the nearest bf16, lower half of the word zero. */
inline vf roundToBf16(vf a) {
  vi b = bits(a);
  return fromBits((b + seti(0x7fff) + (shr<16>(b) & seti(1))) &
                  seti(static_cast<int32_t>(0xffff0000u)));
}

/** 2·W bf16 numbers: a, then b. */
inline void storeBf16(uint16_t* p, vf a, vf b) {
#ifdef PEFT_HAS_BF16
  _mm512_storeu_si512(p, (__m512i)_mm512_cvtne2ps_pbh(b.v, a.v));
#else
  storeU16(p, shr<16>(bits(roundToBf16(a))));
  storeU16(p + W, shr<16>(bits(roundToBf16(b))));
#endif
}

/** The first n < 2·W of them. */
inline void storeBf16Rest(uint16_t* p, vf a, vf b, int64_t n) {
#ifdef PEFT_HAS_BF16
  _mm512_mask_storeu_epi16(p, static_cast<__mmask32>((uint64_t{1} << n) - 1),
                           (__m512i)_mm512_cvtne2ps_pbh(b.v, a.v));
#else
  uint16_t rest[2 * W];
  storeBf16(rest, a, b);
  std::memcpy(p, rest, static_cast<size_t>(n) * 2);
#endif
}

inline vf loadBf16(const uint16_t* p) {
  return fromBits(shl<16>(loadU16(p)));
}

/** Receives decoded elements as float32. */
struct FloatSink {
  using Element = float;
  static void two(float* out, vf a, vf b) {
    store(out, a);
    store(out + W, b);
  }
  static void one(float* out, float a) { *out = a; }
  static void pairs(float* out, vf even, vf odd) { storeInterleaved(out, even, odd); }
  static vf tableEntry(vf a) { return a; }
};

/** Receives decoded elements as bf16. */
struct BfloatSink {
  using Element = uint16_t;
  static void two(uint16_t* out, vf a, vf b) { storeBf16(out, a, b); }
  static void one(uint16_t* out, float a) { *out = floatToBfloat(a); }
  static void pairs(uint16_t* out, vf even, vf odd) {
    storei(out, shr<16>(bits(even)) | bits(odd));
  }
  static vf tableEntry(vf a) { return roundToBf16(a); }
};

/** `convert(p)` reads W stored elements as float32 lanes. The rest of a run goes through a copy, so
 * that nothing is read past its end. */
template <class Sink, class Stored, class Convert>
inline void decodeDense(const Stored* p, int64_t count, typename Sink::Element* out,
                        Convert convert) {
  int64_t i = 0;
  for (; i + 2 * W <= count; i += 2 * W) Sink::two(out + i, convert(p + i), convert(p + i + W));
  if (i == count) return;
  Stored rest[2 * W] = {};
  typename Sink::Element decoded[2 * W];
  std::memcpy(rest, p + i, static_cast<size_t>(count - i) * sizeof(Stored));
  Sink::two(decoded, convert(rest), convert(rest + W));
  std::memcpy(out + i, decoded, static_cast<size_t>(count - i) * sizeof(decoded[0]));
}

#ifdef PEFT_HAS_BF16
/** The block's 16 values, scaled and rounded, twice, so that bit 4 of an index does not matter. */
inline __m512i scaledTable(__m512 values, float scale, float zero) {
  const __m512 shifted = _mm512_sub_ps(values, _mm512_set1_ps(zero));
  return _mm512_broadcast_i64x4(
      (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(shifted, _mm512_set1_ps(scale))));
}
inline __m512i scaledTable(__m512 values, const MatrixView& view, int64_t block) {
  return scaledTable(values, blockMaximum(view, block), blockZero(view, block));
}

/** 32 elements of one block, of 16 bytes. */
inline __m512i lookUpFourBit(const uint8_t* bytes, __m512i table) {
  const __m512i byte =
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
  return _mm512_permutexvar_epi16(
      _mm512_or_si512(_mm512_srli_epi32(byte, 4), _mm512_slli_epi32(byte, 16)), table);
}

/** Elements [first, first + count) of a 4-bit matrix, both multiples of 32. */
inline void decodeFourBitPairs(const MatrixView& view, int64_t first, int64_t count,
                               uint16_t* out) {
  constexpr int64_t kMaxima = 32;
  const __m512 values = _mm512_load_ps(fourBitValues(view.format));
  const uint8_t* bytes = static_cast<const uint8_t*>(view.data) + (first >> 1);
  const int64_t size = int64_t{1} << view.blockShift, end = first + count;
  float room[kMaxima];
  for (int64_t block = first >> view.blockShift, at = first; at < end; block += kMaxima) {
    const int64_t rest = ((end - 1) >> view.blockShift) + 1 - block;
    const float* maxima = blockMaxima(view, block, rest < kMaxima ? rest : kMaxima, room);
    for (int64_t b = 0; b < kMaxima && at < end; b++) {
      const __m512i table = scaledTable(values, maxima[b], blockZero(view, block + b));
      const int64_t next = (block + b + 1) * size, stop = next < end ? next : end;
      for (; at < stop; at += 32, bytes += 16, out += 32)
        _mm512_storeu_si512(out, lookUpFourBit(bytes, table));
    }
  }
}
#endif

template <class Sink>
inline void decodeFourBit(const MatrixView& view, int64_t first, int64_t count,
                          typename Sink::Element* out) {
#ifdef PEFT_HAS_BF16
  if constexpr (sizeof(typename Sink::Element) == 2)
    if (((first | count) & 31) == 0) return decodeFourBitPairs(view, first, count, out);
#endif
  const float* values = fourBitValues(view.format);
  const uint8_t* bytes = static_cast<const uint8_t*>(view.data);
  const Table16 plain = table16(values);
  const int64_t end = first + count;
  int64_t i = first, block = first >> view.blockShift;
  auto one = [&](float scaleOfBlock, float zeroOfBlock) {
    const int code = i & 1 ? bytes[i >> 1] & 15 : bytes[i >> 1] >> 4;
    Sink::one(out++, (values[code] - zeroOfBlock) * scaleOfBlock);
    i++;
  };
  for (; i < end; block++) {
    const int64_t blockEnd =
        (block + 1) << view.blockShift < end ? (block + 1) << view.blockShift : end;
    const float scaleOfBlock = blockMaximum(view, block), zeroOfBlock = blockZero(view, block);
    if (i & 1) one(scaleOfBlock, zeroOfBlock);
    const int64_t whole = (blockEnd - i) / (2 * W) * (2 * W);
    if (whole > 0) {
      const vf scale = set(scaleOfBlock), shift = set(zeroOfBlock);
      const Table16 table =
          map(plain, [&](vf entry) { return Sink::tableEntry((entry - shift) * scale); });
      for (const int64_t stop = i + whole; i < stop; i += 2 * W, out += 2 * W) {
        const vi byte = loadU8(bytes + (i >> 1));
        Sink::pairs(out, look(table, shr<4>(byte)), look(table, byte));
      }
    }
    while (i < blockEnd) one(scaleOfBlock, zeroOfBlock);
  }
}

/** out[i] = element (row, column + i), i < count; the run stays in the row. */
template <class Sink>
inline void decodeRun(const MatrixView& view, int64_t row, int64_t column, int64_t count,
                      typename Sink::Element* out) {
  const int64_t first = row * view.stride + column;
  switch (view.format) {
    case Format::f32: {
      const float* p = static_cast<const float*>(view.data) + first;
      if constexpr (sizeof(typename Sink::Element) == 4) {
        std::memcpy(out, p, static_cast<size_t>(count) * 4);
      } else {
        int64_t i = 0;
        for (; i + 2 * W <= count; i += 2 * W) Sink::two(out + i, load(p + i), load(p + i + W));
        if (i < count)
          storeBf16Rest(out + i, loadn(p + i, count - i),
                        count - i > W ? loadn(p + i + W, count - i - W) : zero(), count - i);
      }
      break;
    }
    case Format::f16:
      decodeDense<Sink>(static_cast<const uint16_t*>(view.data) + first, count, out,
                        [](const uint16_t* p) { return loadF16(p); });
      break;
    case Format::bf16:
      if constexpr (sizeof(typename Sink::Element) == 2)
        std::memcpy(out, static_cast<const uint16_t*>(view.data) + first,
                    static_cast<size_t>(count) * 2);
      else
        decodeDense<Sink>(static_cast<const uint16_t*>(view.data) + first, count, out,
                          [](const uint16_t* p) { return loadBf16(p); });
      break;
    case Format::int8: {
      const vf factor = set(view.scale[row] / 127.0f);
      decodeDense<Sink>(static_cast<const int8_t*>(view.data) + first, count, out,
                        [&](const int8_t* p) { return toFloat(loadI8(p)) * factor; });
      break;
    }
    case Format::nf4:
    case Format::fp4:
    case Format::int4:
    case Format::mxfp4:
      decodeFourBit<Sink>(view, first, count, out);
      break;
  }
}

}  // namespace peft::PEFT_ISA
