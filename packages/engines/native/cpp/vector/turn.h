// A panel of V from rows that are stored along k: decoded, and turned in registers so that each
// stored row is a lane.
#pragma once
#include <cstdint>
#include <cstring>
#include "../core/product-kernels.h"
#include "decode.h"
#include "stored-rows.h"
#include "transpose.h"
#ifdef PEFT_HAS_BF16
#include "turn-four-bit.h"
#endif

namespace peft::PEFT_ISA {

/**
 * Turns `blocks` blocks of W words of all rows, `elements` of the matrix each. `read(row, block)`
 * gives words of a row; what each of them holds is stored by `put(row, word, turned, to)`,
 * `perWord` lines of the panel at `to`.
 */
template <class Read, class Put>
inline void turnBlocks(const StoredRows& rows, int64_t blocks, int64_t elements, int64_t perWord,
                       uint32_t* panel, Read read, Put put) {
  vi block[W];
  for (int64_t r = 0; r < kPanelWords; r += W)
    for (int64_t b = 0; b < blocks; b++) {
      PEFT_UNROLL
      for (int64_t i = 0; i < W; i++) block[i] = read(r + i, b);
      rows.askAhead(r, b * elements);
      transposeLanes(block);
      uint32_t* to = panel + b * W * perWord * kPanelWords + r;
      PEFT_UNROLL
      for (int64_t i = 0; i < W; i++, to += perWord * kPanelWords) put(r, b * W + i, block[i], to);
    }
}

inline void putWord(int64_t, int64_t, vi turned, uint32_t* to) {
  storei(to, turned);
}

/** Words of four bytes, each a signed number times its row's factor. */
inline void turnInt8(const StoredRows& rows, int64_t blocks, uint32_t* panel) {
  auto read = [&](int64_t row, int64_t b) { return loadi(rows.at<int8_t>(row) + b * 4 * W); };
  const vi low = seti(0xff), sign = seti(0x80);
  auto put = [&](int64_t row, int64_t, vi turned, uint32_t* to) {
    const vf factor = load(rows.view.scale + rows.row0 + row) / set(127.0f);
    auto number = [&](vi byte) { return bits(toFloat(((byte & low) ^ sign) - sign) * factor); };
    storei(to, number(turned));
    storei(to + kPanelWords, number(shr<8>(turned)));
    storei(to + 2 * kPanelWords, number(shr<16>(turned)));
    storei(to + 3 * kPanelWords, number(shr<24>(turned)));
  };
  turnBlocks(rows, blocks, 4 * W, 4, panel, read, put);
}

/** Words of eight 4-bit codes, high nibble of each byte first. */
template <bool hasZeros>
inline void turnFourBit(const StoredRows& rows, int64_t blocks, uint32_t* panel) {
  const Table16 values = table16(fourBitValues(rows.view.format));
  const int64_t mask = rows.blockMask();
  vf scale = zero(), shift = zero();
  auto read = [&](int64_t row, int64_t b) {
    return loadi(static_cast<const uint8_t*>(rows.view.data) + (rows.first(row) >> 1) + b * 4 * W);
  };
  auto put = [&](int64_t row, int64_t word, vi turned, uint32_t* to) {
    if (word == 0 || ((rows.k0 + word * 8) & mask) == 0) {
      scale = rows.ofBlocks(row, word * 8, blockMaximum);
      if constexpr (hasZeros) shift = rows.ofBlocks(row, word * 8, blockZero);
    }
    auto number = [&](vi code) {
      const vf value = look(values, code);
      return bits((hasZeros ? value - shift : value) * scale);
    };
    storei(to, number(shr<4>(turned)));
    storei(to + kPanelWords, number(turned));
    storei(to + 2 * kPanelWords, number(shr<12>(turned)));
    storei(to + 3 * kPanelWords, number(shr<8>(turned)));
    storei(to + 4 * kPanelWords, number(shr<20>(turned)));
    storei(to + 5 * kPanelWords, number(shr<16>(turned)));
    storei(to + 6 * kPanelWords, number(shr<28>(turned)));
    storei(to + 7 * kPanelWords, number(shr<24>(turned)));
  };
  turnBlocks(rows, blocks, 8 * W, 8, panel, read, put);
}

/** Float32 words of whole blocks of the panel's rows; returns how many of `count` were made. */
inline int64_t turnFloats(const StoredRows& rows, int64_t count, uint32_t* panel) {
  const MatrixView& view = rows.view;
  auto made = [&](int64_t perWord) { return count / (W * perWord); };
  switch (view.format) {
    case Format::f32: {
      auto read = [&](int64_t row, int64_t b) { return loadi(rows.at<float>(row) + b * W); };
      turnBlocks(rows, made(1), W, 1, panel, read, putWord);
      return made(1) * W;
    }
    case Format::f16: {
      auto read = [&](int64_t row, int64_t b) {
        return bits(loadF16(rows.at<uint16_t>(row) + b * W));
      };
      turnBlocks(rows, made(1), W, 1, panel, read, putWord);
      return made(1) * W;
    }
    case Format::bf16: {
      auto read = [&](int64_t row, int64_t b) { return loadi(rows.at<uint16_t>(row) + b * 2 * W); };
      const vi upper = seti(static_cast<int32_t>(0xffff0000u));
      auto put = [&](int64_t, int64_t, vi turned, uint32_t* to) {
        storei(to, shl<16>(turned));
        storei(to + kPanelWords, turned & upper);
      };
      turnBlocks(rows, made(2), 2 * W, 2, panel, read, put);
      return made(2) * 2 * W;
    }
    case Format::int8:
      turnInt8(rows, made(4), panel);
      return made(4) * 4 * W;
    case Format::nf4:
    case Format::fp4:
    case Format::int4:
    case Format::mxfp4:
      if ((view.stride & rows.blockMask()) != 0 || rows.k0 % 8 != 0) return 0;
      if (view.zeros)
        turnFourBit<true>(rows, made(8), panel);
      else
        turnFourBit<false>(rows, made(8), panel);
      return made(8) * 8 * W;
  }
  return 0;
}

#ifdef PEFT_HAS_BF16
/** Words of two bf16 numbers of whole blocks of the panel's rows; returns how many were made. */
inline int64_t turnPairs(const StoredRows& rows, int64_t count, uint32_t* panel) {
  const MatrixView& view = rows.view;
  const int64_t blocks = count / 32;
  auto pairs = [](vf a, vf b) { return vi{(__m512i)_mm512_cvtne2ps_pbh(b.v, a.v)}; };
  switch (view.format) {
    case Format::f32:
      turnBlocks(
          rows, blocks, 2 * W, 1, panel,
          [&](int64_t row, int64_t b) {
            const float* p = rows.at<float>(row) + b * 32;
            return pairs(load(p), load(p + W));
          },
          putWord);
      break;
    case Format::f16:
      turnBlocks(
          rows, blocks, 2 * W, 1, panel,
          [&](int64_t row, int64_t b) {
            const uint16_t* p = rows.at<uint16_t>(row) + b * 32;
            return pairs(loadF16(p), loadF16(p + W));
          },
          putWord);
      break;
    case Format::bf16:
      turnBlocks(
          rows, blocks, 2 * W, 1, panel,
          [&](int64_t row, int64_t b) { return loadi(rows.at<uint16_t>(row) + b * 32); }, putWord);
      break;
    case Format::int8: {
      float factors[kPanelWords];
      for (int64_t r = 0; r < kPanelWords; r++) factors[r] = view.scale[rows.row0 + r] / 127.0f;
      turnBlocks(
          rows, blocks, 2 * W, 1, panel,
          [&](int64_t row, int64_t b) {
            const int8_t* p = rows.at<int8_t>(row) + b * 32;
            const vf factor = set(factors[row]);
            return pairs(toFloat(loadI8(p)) * factor, toFloat(loadI8(p + W)) * factor);
          },
          putWord);
      break;
    }
    case Format::nf4:
    case Format::fp4:
    case Format::int4:
    case Format::mxfp4:
      if ((view.stride & rows.blockMask()) != 0 || rows.k0 % 32 != 0 || !cpuHasAvx512Vbmi())
        return 0;
      if (view.zeros)
        turnFourBitPairs<true>(rows, blocks, panel);
      else
        turnFourBitPairs<false>(rows, blocks, panel);
      break;
  }
  return blocks * 16;
}
#endif

/** Row `row` of `view`, elements [k0, k0+count), as words. */
template <class Words>
inline void packRun(const MatrixView& view, int64_t row, int64_t k0, int64_t count,
                    uint32_t* words) {
  auto* out = reinterpret_cast<typename Words::Sink::Element*>(words);
  decodeRun<typename Words::Sink>(view, row, k0, count, out);
  if (Words::kPerWord == 2 && (count & 1)) out[count] = 0;
}

/**
 * The panel [words][kPanelWords] of `rows` stored rows from row0 on, elements [k0, k0+count); lanes
 * past `rows` are 0. `scratch`: kPanelWords rows of kStrideWords. `ahead`: see StoredRows.
 */
template <class Words>
inline void turnPanel(const MatrixView& view, int64_t row0, int64_t rows, int64_t k0, int64_t count,
                      uint32_t* panel, uint32_t* scratch, int64_t ahead = 0) {
  const int64_t words = (count + Words::kPerWord - 1) / Words::kPerWord;
  int64_t made = 0;
  if (rows == kPanelWords) made = Words::turn({view, row0, k0, ahead}, count, panel);
  if (made == words) return;
  const int64_t from = made * Words::kPerWord;
  for (int64_t i = 0; i < rows; i++)
    packRun<Words>(view, row0 + i, k0 + from, count - from, scratch + i * kStrideWords);
  panel += made * kPanelWords;
  if (rows < kPanelWords)
    std::memset(panel, 0, static_cast<size_t>((words - made) * kPanelWords) * 4);
  transposeWords(scratch, kStrideWords, rows, words - made, panel, kPanelWords);
}

}  // namespace peft::PEFT_ISA
