// Elementwise operations, reductions over the last axis, softmax.
#include "../core/dispatch.h"
#include "../core/thread-pool.h"
#include "exports.h"

namespace peft {
namespace {

constexpr int64_t kElements = 32768;  // that make a task worth sending to another thread

int64_t minimumRows(int64_t columns) {
  return std::max<int64_t>(1, kElements / std::max<int64_t>(columns, 1));
}

struct Operand {
  const float* data;
  Layout layout;

  const float* row(int64_t r, int64_t columns) const {
    switch (layout) {
      case Layout::full:
        return data + r * columns;
      case Layout::column:
        return data + r;
      default:
        return data;
    }
  }
  bool constant() const { return layout == Layout::column || layout == Layout::scalar; }
};

Operand operandOf(const Arguments& a, size_t index, const char* name, int64_t rows,
                  int64_t columns) {
  const Layout layout =
      static_cast<Layout>(a.size(index + 1, "layout", 0, static_cast<int>(Layout::count) - 1));
  const int64_t needed[] = {product(rows, columns), columns, rows, 1};
  return {a.floats(index, name, needed[static_cast<int>(layout)]), layout};
}

napi_value binary(const Arguments& a) {
  const Binary operation =
      static_cast<Binary>(a.size(0, "operation", 0, static_cast<int>(Binary::count) - 1));
  const int64_t rows = a.size(6, "rows"), columns = a.size(7, "columns");
  const Operand left = operandOf(a, 1, "a", rows, columns),
                right = operandOf(a, 3, "b", rows, columns);
  float* y = a.floats(5, "y", product(rows, columns));
  if (columns == 0) return nullptr;
  auto flat = [](const Operand& operand) {
    return operand.layout == Layout::full || operand.layout == Layout::scalar;
  };
  if (flat(left) && flat(right)) {
    parallelRanges(rows * columns, kElements, 64, [&](int64_t begin, int64_t end) {
      auto from = [&](const Operand& operand) {
        return operand.layout == Layout::full ? operand.data + begin : operand.data;
      };
      kernels().binaryRun(operation, from(left), left.constant(), from(right), right.constant(),
                          y + begin, end - begin);
    });
    return nullptr;
  }
  parallelRanges(rows, minimumRows(columns), 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++)
      kernels().binaryRun(operation, left.row(r, columns), left.constant(), right.row(r, columns),
                          right.constant(), y + r * columns, columns);
  });
  return nullptr;
}

napi_value binaryScalar(const Arguments& a) {
  const Binary operation =
      static_cast<Binary>(a.size(0, "operation", 0, static_cast<int>(Binary::count) - 1));
  const int64_t n = a.size(4, "length");
  const float* x = a.floats(1, "a", n);
  const float value = static_cast<float>(a.number(2, "value"));
  float* y = a.floats(3, "y", n);
  parallelRanges(n, kElements, 64, [&](int64_t begin, int64_t end) {
    kernels().binaryRun(operation, x + begin, false, &value, true, y + begin, end - begin);
  });
  return nullptr;
}

napi_value unary(const Arguments& a) {
  const Unary operation =
      static_cast<Unary>(a.size(0, "operation", 0, static_cast<int>(Unary::count) - 1));
  const int64_t n = a.size(3, "length");
  const float* x = a.floats(1, "x", n);
  float* y = a.floats(2, "y", n);
  parallelRanges(n, kElements / 2, 64, [&](int64_t begin, int64_t end) {
    kernels().unaryRun(operation, x + begin, y + begin, end - begin);
  });
  return nullptr;
}

napi_value clip(const Arguments& a) {
  const int64_t n = a.size(2, "length");
  const float* x = a.floats(0, "x", n);
  float* y = a.floats(1, "y", n);
  const float minimum = static_cast<float>(a.number(3, "minimum")),
              maximum = static_cast<float>(a.number(4, "maximum"));
  parallelRanges(n, kElements, 64, [&](int64_t begin, int64_t end) {
    kernels().clipRun(x + begin, y + begin, end - begin, minimum, maximum);
  });
  return nullptr;
}

napi_value fill(const Arguments& a) {
  const int64_t n = a.size(1, "length");
  float* y = a.floats(0, "y", n);
  const float value = static_cast<float>(a.number(2, "value"));
  parallelRanges(n, kElements * 4, 64, [&](int64_t begin, int64_t end) {
    kernels().fillRun(y + begin, end - begin, value);
  });
  return nullptr;
}

napi_value reduceColumns(const Arguments& a) {
  const Reduction operation =
      static_cast<Reduction>(a.size(0, "operation", 0, static_cast<int>(Reduction::count) - 1));
  const int64_t rows = a.size(3, "rows"), columns = a.size(4, "columns");
  const float* x = a.floats(1, "x", product(rows, columns));
  float* y = a.floats(2, "y", rows);
  parallelRanges(rows, minimumRows(columns), 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++)
      y[r] = kernels().reduceRun(operation, x + r * columns, columns);
  });
  return nullptr;
}

napi_value softmax(const Arguments& a) {
  const int64_t rows = a.size(2, "rows"), columns = a.size(3, "columns");
  const bool logarithm = a.boolean(4, "logarithm");
  const float* x = a.floats(0, "x", product(rows, columns));
  float* y = a.floats(1, "y", product(rows, columns));
  if (columns == 0) return nullptr;
  parallelRanges(rows, minimumRows(columns * 4), 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++)
      kernels().softmaxRow(x + r * columns, y + r * columns, columns, logarithm);
  });
  return nullptr;
}

napi_value softmaxGradient(const Arguments& a) {
  const int64_t rows = a.size(3, "rows"), columns = a.size(4, "columns");
  const bool logarithm = a.boolean(5, "logarithm");
  const float *y = a.floats(0, "y", product(rows, columns)),
              *dy = a.floats(1, "dy", product(rows, columns));
  float* dx = a.floats(2, "dx", product(rows, columns));
  if (columns == 0) return nullptr;
  parallelRanges(rows, minimumRows(columns), 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++)
      kernels().softmaxGradientRow(y + r * columns, dy + r * columns, dx + r * columns, columns,
                                   logarithm);
  });
  return nullptr;
}

}  // namespace

void exportElementwise(Exports& exports) {
  exports.push_back({"binary", call<binary>});
  exports.push_back({"binaryScalar", call<binaryScalar>});
  exports.push_back({"unary", call<unary>});
  exports.push_back({"clip", call<clip>});
  exports.push_back({"fill", call<fill>});
  exports.push_back({"reduceColumns", call<reduceColumns>});
  exports.push_back({"softmax", call<softmax>});
  exports.push_back({"softmaxGradient", call<softmaxGradient>});
}

}  // namespace peft
