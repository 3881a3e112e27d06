// 4-bit rows as pairs of bf16 numbers, turned: what four rows hold is looked up at once, in a table
// of their 64 values, in the order in which a panel takes it. Needs AVX-512 VBMI.
#pragma once
#include <immintrin.h>
#include <cstdint>
#include "../core/cpu.h"
#include "stored-rows.h"

#if defined(__GNUC__)
#define PEFT_VBMI __attribute__((target("avx512vbmi")))
#else
#define PEFT_VBMI
#endif

namespace peft::PEFT_ISA {

/** Where a byte of two codes goes: four rows of 16 bytes become four vectors of 16 pairs, the q-th
 * with pairs 4q … 4q+3, four rows after one another for each. */
struct FourRowsOrder {
  /** Of 4·16 bytes: the two that each of eight lanes of 64 bits needs for each q. */
  alignas(64) uint8_t bytes[64] = {};
  /** Bits of such a lane that are the codes of the q-th vector, each in a word of 16 bits. */
  alignas(64) uint8_t shifts[4][64] = {};
  /** The first value of the word's row in the table. */
  alignas(64) uint16_t rows[32] = {};

  constexpr FourRowsOrder() {
    for (int lane = 0; lane < 8; lane++)
      for (int q = 0; q < 4; q++)
        for (int j = 0; j < 2; j++)
          bytes[lane * 8 + 2 * q + j] =
              static_cast<uint8_t>((lane % 2 * 2 + j) * 16 + 4 * q + lane / 2);
    for (int q = 0; q < 4; q++)
      for (int i = 0; i < 64; i++)
        shifts[q][i] = static_cast<uint8_t>(16 * q + i / 4 % 2 * 8 + (i / 2 % 2 == 0 ? 4 : 0));
    for (int i = 0; i < 32; i++) rows[i] = static_cast<uint16_t>(i / 2 % 4 * 16);
  }
};
inline constexpr FourRowsOrder kFourRowsOrder{};

/** 16 bytes of each of four rows. */
inline __m512i fourRows(const uint8_t* row, int64_t stride) {
  auto load = [](const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); };
  __m512i rows = _mm512_castsi128_si512(load(row));
  rows = _mm512_mask_broadcast_i32x4(rows, 0x00f0, load(row + stride));
  rows = _mm512_mask_broadcast_i32x4(rows, 0x0f00, load(row + 2 * stride));
  return _mm512_mask_broadcast_i32x4(rows, 0xf000, load(row + 3 * stride));
}

/** Stores parts of 128 bits as columns: 0 of each of a … d, then 1 of each. */
inline void storeTurnedQuarters(__m512i a, __m512i b, __m512i c, __m512i d, uint32_t* to) {
  const __m512i ab0 = _mm512_shuffle_i32x4(a, b, 0x44), ab1 = _mm512_shuffle_i32x4(a, b, 0xee),
                cd0 = _mm512_shuffle_i32x4(c, d, 0x44), cd1 = _mm512_shuffle_i32x4(c, d, 0xee);
  _mm512_storeu_si512(to, _mm512_shuffle_i32x4(ab0, cd0, 0x88));
  _mm512_storeu_si512(to + kPanelWords, _mm512_shuffle_i32x4(ab0, cd0, 0xdd));
  _mm512_storeu_si512(to + 2 * kPanelWords, _mm512_shuffle_i32x4(ab1, cd1, 0x88));
  _mm512_storeu_si512(to + 3 * kPanelWords, _mm512_shuffle_i32x4(ab1, cd1, 0xdd));
}

/** The values of W rows' blocks from `block` on, scaled and rounded, two rows a table: 16 of the
 * first, 16 of the second. */
template <bool hasZeros>
inline void fillTables(__m512 values, const MatrixView& view, int64_t block, int64_t rowBlocks,
                       __m512i* tables) {
  float maxima[W];
  if (view.scale)
    for (int64_t i = 0; i < W; i++) maxima[i] = view.scale[block + i * rowBlocks];
  else
    for (int64_t i = 0; i < W; i++) maxima[i] = blockMaximum(view, block + i * rowBlocks);
  auto scaled = [&](int64_t row) {
    const __m512 shifted =
        hasZeros ? _mm512_sub_ps(values, _mm512_set1_ps(blockZero(view, block + row * rowBlocks)))
                 : values;
    return _mm512_mul_ps(shifted, _mm512_set1_ps(maxima[row]));
  };
  PEFT_UNROLL
  for (int64_t i = 0; i < W; i += 2)
    tables[i / 2] = (__m512i)_mm512_cvtne2ps_pbh(scaled(i + 1), scaled(i));
}

/** `blocks` blocks of 32 elements of all rows; whole blocks of the matrix start where rows do. */
template <bool hasZeros>
PEFT_VBMI inline void turnFourBitPairs(const StoredRows& rows, int64_t blocks, uint32_t* panel) {
  const MatrixView& view = rows.view;
  const __m512 values = _mm512_load_ps(fourBitValues(view.format));
  const __m512i order = _mm512_load_si512(kFourRowsOrder.bytes),
                firstValues = _mm512_load_si512(kFourRowsOrder.rows),
                lowNibble = _mm512_set1_epi16(15);
  const int64_t mask = rows.blockMask(), rowBytes = view.stride >> 1,
                rowBlocks = view.stride >> view.blockShift;
  for (int64_t r = 0; r < kPanelWords; r += W) {
    __m512i tables[W / 2];
    const uint8_t* from = static_cast<const uint8_t*>(view.data) + (rows.first(r) >> 1);
    for (int64_t b = 0; b < blocks; b++, from += 16) {
      const int64_t element = rows.first(r) + b * 32;
      if (b == 0 || (element & mask) == 0)
        fillTables<hasZeros>(values, view, element >> view.blockShift, rowBlocks, tables);
      rows.askAhead(r, b * 32);
      __m512i pairs[4][4];  // [q][four rows]
      PEFT_UNROLL
      for (int g = 0; g < 4; g++) {
        const __m512i bytes =
            _mm512_permutexvar_epi8(order, fourRows(from + 4 * g * rowBytes, rowBytes));
        PEFT_UNROLL
        for (int q = 0; q < 4; q++) {
          const __m512i codes =
              _mm512_multishift_epi64_epi8(_mm512_load_si512(kFourRowsOrder.shifts[q]), bytes);
          const __m512i places =  // (codes & lowNibble) | firstValues
              _mm512_ternarylogic_epi32(codes, lowNibble, firstValues, 0xea);
          pairs[q][g] = _mm512_permutex2var_epi16(tables[2 * g], places, tables[2 * g + 1]);
        }
      }
      uint32_t* to = panel + b * W * kPanelWords + r;
      PEFT_UNROLL
      for (int q = 0; q < 4; q++, to += 4 * kPanelWords)
        storeTurnedQuarters(pairs[q][0], pairs[q][1], pairs[q][2], pairs[q][3], to);
    }
  }
}

}  // namespace peft::PEFT_ISA
