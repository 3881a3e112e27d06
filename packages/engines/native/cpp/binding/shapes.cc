// Moving elements: transposition, row copies, conversion of types.
#include <cmath>
#include <cstring>

#include "../core/dispatch.h"
#include "../core/thread-pool.h"
#include "exports.h"

namespace peft {
namespace {

constexpr int64_t kElements = 32768;  // that make a task worth sending to another thread

napi_value transpose(const Arguments& a) {
  const int64_t batch = a.size(2, "batch"), rows = a.size(3, "rows"),
                columns = a.size(4, "columns");
  const int64_t matrix = product(rows, columns);
  const float* x = a.floats(0, "x", product(batch, matrix));
  float* y = a.floats(1, "y", product(batch, matrix));
  if (matrix == 0) return nullptr;
  constexpr int64_t kBand = 64;  // columns of x that a task takes
  const int64_t bands = (columns + kBand - 1) / kBand;
  parallelRanges(batch * bands, std::max<int64_t>(1, kElements / (rows * kBand)), 1,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; i++) {
                     const int64_t b = i / bands, column = i % bands * kBand;
                     kernels().transposeWords(
                         reinterpret_cast<const uint32_t*>(x + b * matrix + column), columns, rows,
                         std::min(kBand, columns - column),
                         reinterpret_cast<uint32_t*>(y + b * matrix + column * rows), rows);
                   }
                 });
  return nullptr;
}

napi_value transpose0213(const Arguments& a) {
  const int64_t as = a.size(2, "a"), bs = a.size(3, "b"), cs = a.size(4, "c"), d = a.size(5, "d");
  const int64_t total = product(product(as, bs), cs, d);
  const float* x = a.floats(0, "x", total);
  float* y = a.floats(1, "y", total);
  if (total == 0) return nullptr;
  parallelRanges(as * cs, std::max<int64_t>(1, kElements / (bs * d)), 1,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; i++) {
                     const float* from = x + ((i / cs) * bs * cs + i % cs) * d;
                     float* to = y + i * bs * d;
                     for (int64_t b = 0; b < bs; b++)
                       std::memcpy(to + b * d, from + b * cs * d, static_cast<size_t>(d) * 4);
                   }
                 });
  return nullptr;
}

/** Elements that `rows` rows at `offset`, `stride` apart, reach to. */
int64_t reach(int64_t offset, int64_t stride, int64_t rows, int64_t columns) {
  if (rows == 0 || columns == 0) return 0;
  return offset + product(rows - 1, stride) + columns;
}

napi_value copyRows(const Arguments& a) {
  const int64_t xOffset = a.size(1, "xOffset"), xStride = a.size(2, "xStride"),
                yOffset = a.size(4, "yOffset"), yStride = a.size(5, "yStride");
  const int64_t rows = a.size(6, "rows"), columns = a.size(7, "columns");
  const float* x = a.floats(0, "x", reach(xOffset, xStride, rows, columns)) + xOffset;
  float* y = a.floats(3, "y", reach(yOffset, yStride, rows, columns)) + yOffset;
  if (rows > 1 && yStride < columns)
    a.fail("yStride " + std::to_string(yStride) + " is less than columns " +
           std::to_string(columns));
  if (columns == 0) return nullptr;
  parallelRanges(
      rows, std::max<int64_t>(1, kElements / columns), 1, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++)
          std::memmove(y + r * yStride, x + r * xStride, static_cast<size_t>(columns) * 4);
      });
  return nullptr;
}

napi_value castToFloat(const Arguments& a) {
  const int64_t n = a.size(2, "length");
  float* y = a.floats(1, "y", n);
  if (a.isIntegers(0)) {
    const int32_t* x = a.integers(0, "x", n);
    for (int64_t i = 0; i < n; i++) y[i] = static_cast<float>(x[i]);
  } else {
    const uint8_t* x = a.bytes(0, "x", n);
    for (int64_t i = 0; i < n; i++) y[i] = static_cast<float>(x[i]);
  }
  return nullptr;
}

napi_value castToInt(const Arguments& a) {
  const int64_t n = a.size(2, "length");
  const float* x = a.floats(0, "x", n);
  int32_t* y = a.integers(1, "y", n);
  for (int64_t i = 0; i < n; i++) {
    const float value = x[i];
    y[i] = value != value           ? 0
           : value >= 2147483648.0f ? INT32_MAX
           : value < -2147483648.0f ? INT32_MIN
                                    : static_cast<int32_t>(value);
  }
  return nullptr;
}

napi_value decode(const Arguments& a) {
  const bool half = a.choice(0, "format", {"f16", "bf16"}) == 0;
  const int64_t n = a.size(3, "length");
  const uint8_t* bytes = a.bytes(1, "bytes", product(n, 2));
  float* y = a.floats(2, "y", n);
  if (reinterpret_cast<uintptr_t>(bytes) % 2 != 0) a.fail("bytes must start at an even address");
  MatrixView view;
  view.format = half ? Format::f16 : Format::bf16;
  view.data = bytes;
  parallelRanges(n, kElements, 64, [&](int64_t begin, int64_t end) {
    kernels().decodeFloat(view, 0, begin, end - begin, y + begin);
  });
  return nullptr;
}

napi_value encode(const Arguments& a) {
  const bool half = a.choice(0, "format", {"f16", "bf16"}) == 0;
  const int64_t n = a.size(3, "length");
  const float* x = a.floats(1, "x", n);
  uint8_t* bytes = a.bytes(2, "bytes", product(n, 2));
  if (reinterpret_cast<uintptr_t>(bytes) % 2 != 0) a.fail("bytes must start at an even address");
  uint16_t* out = reinterpret_cast<uint16_t*>(bytes);
  parallelRanges(n, kElements, 64, [&](int64_t begin, int64_t end) {
    if (half)
      kernels().encodeHalf(x + begin, end - begin, out + begin);
    else
      kernels().encodeBfloat(x + begin, end - begin, out + begin);
  });
  return nullptr;
}

}  // namespace

void exportShapes(Exports& exports) {
  exports.push_back({"transpose", call<transpose>});
  exports.push_back({"transpose0213", call<transpose0213>});
  exports.push_back({"copyRows", call<copyRows>});
  exports.push_back({"castToFloat", call<castToFloat>});
  exports.push_back({"castToInt", call<castToInt>});
  exports.push_back({"decode", call<decode>});
  exports.push_back({"encode", call<encode>});
}

}  // namespace peft
