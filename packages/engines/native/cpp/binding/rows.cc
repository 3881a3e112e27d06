// Operations on rows and columns: rope, dropout, scaling, sums, cross entropy, gathering and
// scattering.
#include <cstring>

#include "../core/chunked-sum.h"
#include "exports.h"

namespace peft {
namespace {

constexpr int64_t kElements = 16384;  // that make a task worth sending to another thread

int64_t minimumRows(int64_t d) {
  return std::max<int64_t>(1, kElements / std::max<int64_t>(d, 1));
}

napi_value rope(const Arguments& a) {
  const int64_t n = a.size(5, "n"), heads = a.size(6, "heads"), size = a.size(7, "headSize"),
                half = a.size(8, "halfRotary");
  const float direction = a.boolean(9, "inverse") ? -1.0f : 1.0f;
  const auto turn = a.boolean(10, "interleaved") ? kernels().ropePairs : kernels().ropeRow;
  const int64_t width = product(heads, size);
  if (2 * half > size)
    a.fail("halfRotary " + std::to_string(half) + " is more than half of headSize " +
           std::to_string(size));
  const float *x = a.floats(0, "x", product(n, width)), *cos = a.floats(1, "cos", 0),
              *sin = a.floats(2, "sin", 0);
  const int32_t* positions = a.integers(3, "positions", n);
  float* y = a.floats(4, "y", product(n, width));
  if (n == 0 || width == 0) return nullptr;
  const int64_t table =
      half == 0 ? kLargestSize : std::min(a.length(1, "cos"), a.length(2, "sin")) / half;
  for (int64_t i = 0; i < n; i++) {
    if (positions[i] < 0 || positions[i] >= table)
      a.fail("position " + std::to_string(positions[i]) + " is outside the tables of " +
             std::to_string(table) + " rows");
  }
  parallelRanges(n, minimumRows(width), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
      turn(x + i * width, cos + positions[i] * half, sin + positions[i] * half, y + i * width,
           heads, size, half, direction);
  });
  return nullptr;
}

napi_value dropout(const Arguments& a) {
  const int64_t n = a.size(2, "length");
  const float* x = a.floats(0, "x", n);
  float* y = a.floats(1, "y", n);
  const double rate = a.number(3, "rate");
  if (!(rate >= 0 && rate < 1)) a.fail("rate must be at least 0 and below 1");
  const uint32_t key0 = a.word(4, "key0"), key1 = a.word(5, "key1");
  const float kept = static_cast<float>(1.0 / (1.0 - rate));
  parallelRanges(n, kElements, 64, [&](int64_t begin, int64_t end) {
    kernels().dropoutRun(x + begin, y + begin, static_cast<uint32_t>(begin), end - begin,
                         static_cast<float>(rate), kept, key0, key1);
  });
  return nullptr;
}

napi_value scaleColumns(const Arguments& a) {
  const int64_t n = a.size(3, "n"), d = a.size(4, "d");
  const float *x = a.floats(0, "x", product(n, d)), *scale = a.floats(1, "scale", d);
  float* y = a.floats(2, "y", product(n, d));
  if (d == 0) return nullptr;
  parallelRanges(n, minimumRows(d), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
      kernels().binaryRun(Binary::multiply, x + i * d, false, scale, false, y + i * d, d);
  });
  return nullptr;
}

napi_value scaleColumnsGradient(const Arguments& a) {
  const int64_t n = a.size(5, "n"), d = a.size(6, "d");
  const float *x = a.floats(0, "x", product(n, d)), *scale = a.floats(1, "scale", d),
              *dy = a.floats(2, "dy", product(n, d));
  float *dx = a.optionalFloats(3, "dx", product(n, d)), *dscale = a.optionalFloats(4, "dscale", d);
  if (d == 0) return nullptr;
  sumOverRows(n, dscale ? d : 0, dscale, [&](int64_t begin, int64_t end, float* partial) {
    for (int64_t i = begin; i < end; i++) {
      if (dscale) kernels().multiplyAddRun(x + i * d, dy + i * d, partial, d);
      if (dx) kernels().binaryRun(Binary::multiply, dy + i * d, false, scale, false, dx + i * d, d);
    }
  });
  return nullptr;
}

napi_value sumRows(const Arguments& a) {
  const int64_t n = a.size(2, "n"), d = a.size(3, "d");
  const float* x = a.floats(0, "x", product(n, d));
  float* y = a.floats(1, "y", d);
  if (d == 0) return nullptr;
  if (d > 16384) {  // few rows of partial sums would be many megabytes: threads take columns
    parallelRanges(d, 1024, 16, [&](int64_t begin, int64_t end) {
      kernels().fillRun(y + begin, end - begin, 0.0f);
      for (int64_t i = 0; i < n; i++) kernels().addRun(x + i * d + begin, y + begin, end - begin);
    });
    return nullptr;
  }
  sumOverRows(n, d, y, [&](int64_t begin, int64_t end, float* partial) {
    for (int64_t i = begin; i < end; i++) kernels().addRun(x + i * d, partial, d);
  });
  return nullptr;
}

constexpr int32_t kIgnored = -100;

const int32_t* labelsOf(const Arguments& a, int64_t n, int64_t v) {
  const int32_t* labels = a.integers(1, "labels", n);
  for (int64_t i = 0; i < n; i++) {
    if (labels[i] != kIgnored && (labels[i] < 0 || labels[i] >= v))
      a.fail("label " + std::to_string(labels[i]) + " of row " + std::to_string(i) +
             " is outside the " + std::to_string(v) + " classes");
  }
  return labels;
}

napi_value crossEntropy(const Arguments& a) {
  const int64_t n = a.size(4, "n"), v = a.size(5, "v", 1);
  const float* logits = a.floats(0, "logits", product(n, v));
  const int32_t* labels = labelsOf(a, n, v);
  float *loss = a.floats(2, "loss", n), *logSumExp = a.floats(3, "logSumExp", n);
  parallelRanges(n, minimumRows(v), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      logSumExp[i] = kernels().logSumExpRow(logits + i * v, v);
      loss[i] = labels[i] == kIgnored ? 0.0f : logSumExp[i] - logits[i * v + labels[i]];
    }
  });
  return nullptr;
}

napi_value crossEntropyGradient(const Arguments& a) {
  const int64_t n = a.size(5, "n"), v = a.size(6, "v", 1);
  const float* logits = a.floats(0, "logits", product(n, v));
  const int32_t* labels = labelsOf(a, n, v);
  const float *logSumExp = a.floats(2, "logSumExp", n), *dloss = a.floats(3, "dloss", n);
  float* dlogits = a.floats(4, "dlogits", product(n, v));
  parallelRanges(n, minimumRows(v), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      float* row = dlogits + i * v;
      if (labels[i] == kIgnored) {
        kernels().fillRun(row, v, 0.0f);
        continue;
      }
      kernels().probabilityRow(logits + i * v, logSumExp[i], dloss[i], row, v);
      row[labels[i]] -= dloss[i];
    }
  });
  return nullptr;
}

napi_value gatherRows(const Arguments& a) {
  const int64_t m = a.size(3, "m"), d = a.size(4, "d"), n = a.length(1, "rows");
  const float* x = a.floats(0, "x", product(m, d));
  const int32_t* rows = a.integers(1, "rows", n);
  float* y = a.floats(2, "y", product(n, d));
  for (int64_t i = 0; i < n; i++) {
    if (rows[i] < 0 || rows[i] >= m)
      a.fail("row " + std::to_string(rows[i]) + " is outside the " + std::to_string(m) + " rows");
  }
  parallelRanges(n, minimumRows(d), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
      std::memcpy(y + i * d, x + rows[i] * d, static_cast<size_t>(d) * 4);
  });
  return nullptr;
}

napi_value scatterAddRows(const Arguments& a) {
  const int64_t size = a.size(3, "size"), d = a.size(4, "d"), n = a.length(1, "rows");
  const float* x = a.floats(0, "x", product(n, d));
  const int32_t* rows = a.integers(1, "rows", n);
  float* y = a.floats(2, "y", product(size, d));
  for (int64_t i = 0; i < n; i++) {
    if (rows[i] < 0 || rows[i] >= size)
      a.fail("row " + std::to_string(rows[i]) + " is outside the " + std::to_string(size) +
             " rows");
  }
  // Threads take columns, so that rows are added in order.
  parallelRanges(d, std::max<int64_t>(64, kElements / std::max<int64_t>(n + size, 1)), 16,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t r = 0; r < size; r++)
                     kernels().fillRun(y + r * d + begin, end - begin, 0.0f);
                   for (int64_t i = 0; i < n; i++)
                     kernels().addRun(x + i * d + begin, y + rows[i] * d + begin, end - begin);
                 });
  return nullptr;
}

}  // namespace

void exportRows(Exports& exports) {
  exports.push_back({"rope", call<rope>});
  exports.push_back({"dropout", call<dropout>});
  exports.push_back({"scaleColumns", call<scaleColumns>});
  exports.push_back({"scaleColumnsGradient", call<scaleColumnsGradient>});
  exports.push_back({"sumRows", call<sumRows>});
  exports.push_back({"crossEntropy", call<crossEntropy>});
  exports.push_back({"crossEntropyGradient", call<crossEntropyGradient>});
  exports.push_back({"gatherRows", call<gatherRows>});
  exports.push_back({"scatterAddRows", call<scatterAddRows>});
}

}  // namespace peft
