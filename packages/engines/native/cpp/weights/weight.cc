#include "weight.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "../core/pages.h"
#include "../core/arena.h"
#include "../core/dispatch.h"
#include "../core/thread-pool.h"

namespace peft {
namespace {

constexpr int64_t kRun = 8192;  // elements that a task decodes at a time

int64_t elementBytes(Format format) {
  return format == Format::f32 ? 4 : format == Format::int8 ? 1 : 2;
}

}  // namespace

int64_t storedBytes(Format format, int64_t elements) {
  return isFourBit(format) ? (elements + 1) / 2 : elements * elementBytes(format);
}

std::shared_ptr<uint8_t> allocateBytes(int64_t count) {
  const size_t bytes = static_cast<size_t>(count);
  return std::shared_ptr<uint8_t>(static_cast<uint8_t*>(allocateMemory(bytes)),
                                  [bytes](uint8_t* p) { freeMemory(p, bytes); });
}

MatrixView Weight::view() const {
  MatrixView view;
  view.format = format;
  view.data = data();
  view.stride = shape.storedColumns();
  if (format == Format::int8) view.scale = maxima.data();
  if (isFourBit(format)) {
    view.blockShift = std::countr_zero(static_cast<uint64_t>(blockSize));
    view.scale = codes.empty() ? maxima.data() : nullptr;
    view.codes = codes.data();
    view.map = map.data();
    view.nested = nested.data();
    view.nestedBlockSize = nestedBlockSize;
    view.offset = offset;
    view.zeros = zeros.empty() ? nullptr : zeros.data();
  }
  return view;
}

int64_t Weight::dataBytes() const {
  return storedBytes(format, shape.elements());
}

int64_t Weight::byteLength() const {
  return dataBytes() + static_cast<int64_t>(maxima.size() * 4 + codes.size() + map.size() * 4 +
                                            nested.size() * 4 + zeros.size());
}

std::unique_ptr<Weight> weightFromFile(const std::string& path, int64_t offset, Format format,
                                       WeightShape shape) {
  auto weight = std::make_unique<Weight>();
  weight->shape = shape;
  weight->format = format;
  weight->file = std::make_unique<MappedFile>(path, offset, storedBytes(format, shape.elements()));
  if (reinterpret_cast<uintptr_t>(weight->file->data()) %
          static_cast<uintptr_t>(elementBytes(format)) !=
      0) {  // cannot be read in place
    auto copy = weightFromBytes(weight->file->data(), format, shape);
    weight->file->check();
    return copy;
  }
  return weight;
}

std::unique_ptr<Weight> weightFromBytes(const uint8_t* bytes, Format format, WeightShape shape) {
  auto weight = std::make_unique<Weight>();
  weight->shape = shape;
  weight->format = format;
  const int64_t length = storedBytes(format, shape.elements());
  weight->bytes = allocateBytes(length);
  if (length > 0) std::memcpy(weight->bytes.get(), bytes, static_cast<size_t>(length));
  return weight;
}

std::unique_ptr<Weight> weightFromBlocks(const uint8_t* bytes, BlockType type, WeightShape shape) {
  auto weight = std::make_unique<Weight>();
  weight->shape = shape;
  weight->bytes = allocateBytes(storedBytes(Format::f32, shape.elements()));
  decodeBlocks(type, bytes, shape.elements() / blockValues(type),
               reinterpret_cast<float*>(weight->bytes.get()));
  return weight;
}

void dequantizeWeight(const Weight& weight, float* out) {
  const MatrixView view = weight.view();
  const int64_t rows = weight.shape.storedRows(), columns = weight.shape.storedColumns();
  if (rows == 0 || columns == 0) return;
  const KernelTable& table = kernels();
  parallelRanges(rows, std::max<int64_t>(1, kRun / columns), 16, [&](int64_t begin, int64_t end) {
    if (!weight.shape.transposed) {
      for (int64_t r = begin; r < end; r++)
        table.decodeFloat(view, r, 0, columns, out + r * columns);
      return;
    }
    float* block = scratch<float>(Scratch::kDecode, 16 * columns);
    for (int64_t r = begin; r < end; r += 16) {
      const int64_t height = std::min<int64_t>(16, end - r);
      for (int64_t i = 0; i < height; i++)
        table.decodeFloat(view, r + i, 0, columns, block + i * columns);
      table.transposeWords(reinterpret_cast<const uint32_t*>(block), columns, height, columns,
                           reinterpret_cast<uint32_t*>(out) + r, rows);
    }
  });
}

void gatherWeight(const Weight& weight, const int32_t* ids, int64_t count, float* out) {
  const MatrixView view = weight.view();
  const int64_t columns = weight.shape.columns;
  const KernelTable& table = kernels();
  parallelRanges(count, std::max<int64_t>(1, kRun / std::max<int64_t>(columns, 1)), 1,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; i++) {
                     if (!weight.shape.transposed)
                       table.decodeFloat(view, ids[i], 0, columns, out + i * columns);
                     else
                       for (int64_t c = 0; c < columns; c++)
                         table.decodeFloat(view, c, ids[i], 1, out + i * columns + c);
                   }
                 });
}

}  // namespace peft
