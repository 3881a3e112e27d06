// A weight in another format. The stored order stays; sources are decoded run by run, so that no
// float32 copy of the whole is made.
#include <algorithm>
#include <cmath>

#include "../core/arena.h"
#include "../core/dispatch.h"
#include "../core/thread-pool.h"
#include "weight.h"

namespace peft {
namespace {

constexpr int64_t kRun = 16384;  // elements; a multiple of every block size

/** Elements [first, first+count) in stored order. */
void decodeFlat(const MatrixView& view, int64_t columns, int64_t first, int64_t count, float* out) {
  const KernelTable& table = kernels();
  while (count > 0) {
    const int64_t row = first / columns, column = first % columns,
                  run = std::min(count, columns - column);
    table.decodeFloat(view, row, column, run, out);
    first += run;
    count -= run;
    out += run;
  }
}

void toInt8(const Weight& source, Weight& target) {
  const MatrixView view = source.view();
  const int64_t rows = source.shape.rows, columns = source.shape.columns;
  target.maxima.resize(static_cast<size_t>(rows));
  parallelRanges(rows, std::max<int64_t>(1, kRun / std::max<int64_t>(columns, 1)), 1,
                 [&](int64_t begin, int64_t end) {
                   float* values = scratch<float>(Scratch::kDecode, columns);
                   for (int64_t r = begin; r < end; r++) {
                     kernels().decodeFloat(view, r, 0, columns, values);
                     target.maxima[static_cast<size_t>(r)] = kernels().quantizeRowInt8(
                         values, columns,
                         reinterpret_cast<int8_t*>(target.bytes.get()) + r * columns);
                   }
                 });
}

/** The 256 values of bitsandbytes' signed dynamic map (its `create_dynamic_map`), ascending: for i
 * = 0 … 6 the midpoints of 2^i + 1 points of [0.1, 1] times 10^(i−6), both signs, and 0 and 1. */
std::vector<float> signedDynamicMap() {
  std::vector<float> values{0.0f, 1.0f};
  for (int i = 0; i < 7; i++) {
    const int steps = 1 << i;
    const float power = static_cast<float>(std::pow(10.0, i - 6));
    const float step = (1.0f - 0.1f) / static_cast<float>(steps);
    auto point =
        [&](int j) {  // as torch.linspace: counted from the nearer end, each point rounded once
          const double low = 0.1f, width = step;
          return static_cast<float>(2 * j < steps + 1 ? low + width * j
                                                      : 1.0 - width * (steps - j));
        };
    for (int j = 0; j < steps; j++) {
      const float middle = (point(j) + point(j + 1)) / 2.0f;
      values.push_back(power * middle);
      values.push_back(-power * middle);
    }
  }
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

void quantizeMaxima(Weight& weight) {
  const int64_t count = static_cast<int64_t>(weight.maxima.size());
  double total = 0;
  for (float value : weight.maxima) total += value;
  weight.map = signedDynamicMap();
  weight.offset = count > 0 ? static_cast<float>(total / static_cast<double>(count)) : 0.0f;
  weight.nestedBlockSize = 256;
  weight.codes.resize(static_cast<size_t>(count));
  for (int64_t begin = 0; begin < count; begin += 256) {
    const int64_t end = std::min(begin + 256, count);
    auto shifted = [&](int64_t i) { return weight.maxima[static_cast<size_t>(i)] - weight.offset; };
    float most = 1e-38f;
    for (int64_t i = begin; i < end; i++) most = std::max(most, std::fabs(shifted(i)));
    weight.nested.push_back(most);
    for (int64_t i = begin; i < end; i++) {
      const float scaled = std::clamp(
          end - begin == 256 ? shifted(i) * (1.0f / most) : shifted(i) / most, -1.0f, 1.0f);
      auto above = std::lower_bound(weight.map.begin(), weight.map.end(), scaled);
      int64_t code = above - weight.map.begin();
      if (code > 0 && (code == 256 || scaled - weight.map[static_cast<size_t>(code - 1)] <=
                                          weight.map[static_cast<size_t>(code)] - scaled))
        code--;
      weight.codes[static_cast<size_t>(i)] = static_cast<uint8_t>(code);
    }
  }
  weight.maxima.clear();
  weight.maxima.shrink_to_fit();
}

std::unique_ptr<Weight> convertWeight(const Weight& source, Format format, int64_t blockSize,
                                      bool doubleQuantization) {
  auto target = std::make_unique<Weight>();
  target->shape = source.shape;
  target->format = format;
  const int64_t elements = source.shape.elements(), columns = source.shape.storedColumns();
  target->bytes = allocateBytes(storedBytes(format, elements));
  uint8_t* bytes = target->bytes.get();
  const bool fourBit = isFourBit(format);
  if (fourBit) {
    target->blockSize = blockSize;
    target->maxima.resize(static_cast<size_t>((elements + blockSize - 1) / blockSize));
  }
  if (format == Format::int8) {
    toInt8(source, *target);
    return target;
  }
  const MatrixView view = source.view();
  const int64_t runs = (elements + kRun - 1) / kRun;
  parallel(runs, [&](int64_t run) {
    const int64_t first = run * kRun, count = std::min(kRun, elements - first);
    float* values = format == Format::f32 ? reinterpret_cast<float*>(bytes) + first
                                          : scratch<float>(Scratch::kDecode, kRun);
    decodeFlat(view, columns, first, count, values);
    if (format == Format::bf16)
      kernels().encodeBfloat(values, count, reinterpret_cast<uint16_t*>(bytes) + first);
    if (format == Format::f16)
      kernels().encodeHalf(values, count, reinterpret_cast<uint16_t*>(bytes) + first);
    if (fourBit)
      kernels().quantizeFourBit(values, count, blockSize, format == Format::fp4,
                                target->maxima.data() + first / blockSize, bytes + first / 2);
  });
  if (fourBit && doubleQuantization) quantizeMaxima(*target);
  return target;
}

}  // namespace peft
