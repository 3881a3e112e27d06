// Products of bf16 pairs by tile instructions (Intel AMX).
//
// A tile of S is 16 rows of 16 words, one of V 16 words of 16 columns, as core/product-kernels.h
// lays them out. One instruction adds, for each sum, the 16 even and the 16 odd elements of its
// words in order, each from 0, and then both to the sum; so the order of a sum depends on the depth
// alone. Words past the end count as 0. Subnormal numbers are taken for 0.
#pragma once
#include <immintrin.h>
#include <cstdint>
#include <cstring>
#include "../core/product-kernels.h"

namespace peft::amx {

constexpr int64_t kRows = kMostTileRows, kWords = 16, kColumns = 16;
constexpr int64_t kPanel = 32;  // columns of a packed panel of V

/** The compiler does not know what tile instructions read and write. */
inline void syncMemory() {
  asm volatile("" : : : "memory");
}

/** The shapes of tiles 0 … 7: sums (0, 1 of the first rows, 2, 3 of the second), S (4, 5), V. */
struct Configuration {
  alignas(64) uint8_t bytes[64] = {1};

  /** For up to 32 rows of S. */
  explicit Configuration(int64_t rows) {
    const uint8_t first = static_cast<uint8_t>(rows < kRows ? rows : kRows),
                  second = static_cast<uint8_t>(rows > kRows ? rows - kRows : 0);
    const uint8_t heights[8] = {first, first, second, second, first, second, kWords, kWords};
    for (int tile = 0; tile < 8; tile++) {
      if (heights[tile] == 0) continue;
      bytes[16 + 2 * tile] = 64;  // bytes of a row
      bytes[48 + tile] = heights[tile];
    }
  }
  void load() const {
    asm volatile("" : : "r"(bytes) : "memory");  // all of them are read
    _tile_loadconfig(bytes);
  }
};

/** Up to 32 rows of S against one panel of V. */
struct TileTask {
  const void* s;
  int64_t sBytes;     // from row to row
  const uint32_t* v;  // a panel
  int64_t words;
  float* sums;
  int64_t stride;  // floats from row to row
};

/** Adds 16 words; rows of V lie kPanel words apart. */
template <bool both, int vectors>
inline void step(const void* s, int64_t sBytes, const uint32_t* v) {
  _tile_loadd(6, v, kPanel * 4);
  _tile_loadd(4, s, sBytes);
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (vectors == 2) {
    _tile_loadd(7, v + kColumns, kPanel * 4);
    _tile_dpbf16ps(1, 4, 7);
  }
  if constexpr (both) {
    _tile_loadd(5, static_cast<const char*>(s) + kRows * sBytes, sBytes);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (vectors == 2) _tile_dpbf16ps(3, 5, 7);
  }
}

/** What is left of rows and panels after whole tiles, followed by zeros. */
struct Rest {
  alignas(64) uint32_t s[2 * kRows * kWords];
  alignas(64) uint32_t v[kWords * kPanel];

  void takeS(const char* from, int64_t sBytes, int64_t rows, int64_t bytes) {
    std::memset(s, 0, sizeof s);
    for (int64_t r = 0; r < rows; r++)
      std::memcpy(s + r * kWords, from + r * sBytes, static_cast<size_t>(bytes));
  }
  void takeV(const uint32_t* from, int64_t words) {
    std::memcpy(v, from, static_cast<size_t>(words * kPanel) * 4);
    std::memset(v + words * kPanel, 0, static_cast<size_t>((kWords - words) * kPanel) * 4);
    syncMemory();
  }
};

template <bool both, int vectors>
inline void multiplyTile(const TileTask& t, Rest& rest, bool accumulate) {
  const int64_t stride = t.stride * 4;
  float* second = t.sums + kRows * t.stride;
  if (accumulate) {
    _tile_loadd(0, t.sums, stride);
    if constexpr (vectors == 2) _tile_loadd(1, t.sums + kColumns, stride);
    if constexpr (both) _tile_loadd(2, second, stride);
    if constexpr (both && vectors == 2) _tile_loadd(3, second + kColumns, stride);
  } else {
    _tile_zero(0);
    if constexpr (vectors == 2) _tile_zero(1);
    if constexpr (both) _tile_zero(2);
    if constexpr (both && vectors == 2) _tile_zero(3);
  }
  const char* s = static_cast<const char*>(t.s);
  const int64_t whole = t.words / kWords * kWords;
  for (int64_t w = 0; w < whole; w += kWords)
    step<both, vectors>(s + w * 4, t.sBytes, t.v + w * kPanel);
  if (whole < t.words) {
    rest.takeV(t.v + whole * kPanel, t.words - whole);
    step<both, vectors>(rest.s, kWords * 4, rest.v);
  }
  _tile_stored(0, t.sums, stride);
  if constexpr (vectors == 2) _tile_stored(1, t.sums + kColumns, stride);
  if constexpr (both) _tile_stored(2, second, stride);
  if constexpr (both && vectors == 2) _tile_stored(3, second + kColumns, stride);
}

/**
 * All rows against all panels. `count` elements of each row of S; panels of sums lie `panelStride`
 * apart. The operand with more columns or rows is walked once.
 */
inline void multiplyAll(const void* s, int64_t sBytes, int64_t rows, int64_t columns, int64_t count,
                        int64_t words, const uint32_t* v, float* sums, int64_t panelStride,
                        int64_t rowStride, bool accumulate) {
  constexpr int64_t height = 2 * kRows;
  Rest rest;
  const int64_t whole = words / kWords * kWords;
  auto block = [&](int64_t r, int64_t here, int64_t from, int64_t to) {
    const char* rowsOfS = static_cast<const char*>(s) + r * sBytes;
    if (whole < words) rest.takeS(rowsOfS + whole * 4, sBytes, here, count * 2 - whole * 4);
    for (int64_t c = from; c < to; c += kPanel) {
      const TileTask task = {
          rowsOfS,  sBytes, v + c * words, words, sums + c / kPanel * panelStride + r * rowStride,
          rowStride};
      const bool isWide = columns - c > kColumns;
      if (here > kRows)
        isWide ? multiplyTile<true, 2>(task, rest, accumulate)
               : multiplyTile<true, 1>(task, rest, accumulate);
      else
        isWide ? multiplyTile<false, 2>(task, rest, accumulate)
               : multiplyTile<false, 1>(task, rest, accumulate);
    }
  };
  const int64_t most = rows / height * height;
  if (most > 0) {
    Configuration(height).load();
    if (rows > columns)
      for (int64_t r = 0; r < most; r += height) block(r, height, 0, columns);
    else
      for (int64_t c = 0; c < columns; c += kPanel)
        for (int64_t r = 0; r < most; r += height)
          block(r, height, c, columns - c < kPanel ? columns : c + kPanel);
  }
  if (most < rows) {
    Configuration(rows - most).load();
    block(most, rows - most, 0, columns);
  }
  _tile_release();
  syncMemory();
}

void multiply(int64_t rows, int64_t columns, int64_t words, const uint32_t* s, const uint32_t* v,
              float* sums, int64_t sumRows, bool accumulate) {
  multiplyAll(s, kStrideWords * 4, rows, columns, words * 2, words, v, sums, sumRows * kPanel,
              kPanel, accumulate);
}

void multiplyInto(int64_t rows, int64_t columns, int64_t words, const uint32_t* s,
                  const uint32_t* v, float* out, int64_t stride, bool accumulate) {
  multiplyAll(s, kStrideWords * 4, rows, columns, words * 2, words, v, out, kPanel, stride,
              accumulate);
}

void multiplyStored(const MatrixView& s, int64_t row0, int64_t rows, int64_t k0, int64_t count,
                    int64_t columns, const uint32_t* v, float* sums, int64_t sumRows,
                    int64_t stride, bool accumulate) {
  const uint16_t* from = static_cast<const uint16_t*>(s.data) + row0 * s.stride + k0;
  multiplyAll(from, s.stride * 2, rows, columns, count, (count + 1) / 2, v, sums,
              sumRows > 0 ? sumRows * kPanel : kPanel, sumRows > 0 ? kPanel : stride, accumulate);
}

}  // namespace peft::amx
