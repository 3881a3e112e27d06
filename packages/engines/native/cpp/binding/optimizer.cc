// AdamW over many tensors in one call, and the norm that clipping needs.
#include <cmath>
#include <numeric>

#include "../core/dispatch.h"
#include "../core/thread-pool.h"
#include "exports.h"

namespace peft {
namespace {

constexpr int64_t kChunk = 16384;  // elements of one tensor that a task takes

struct Piece {
  size_t array;
  int64_t begin, length;
};

std::vector<Piece> piecesOf(const std::vector<Arguments::FloatArray>& arrays) {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < arrays.size(); i++)
    for (int64_t begin = 0; begin < arrays[i].length; begin += kChunk)
      pieces.push_back({i, begin, std::min(kChunk, arrays[i].length - begin)});
  return pieces;
}

napi_value l2Norm(const Arguments& a) {
  const auto arrays = a.floatArrays(a.elements(0, "arrays"), "arrays");
  const std::vector<Piece> pieces = piecesOf(arrays);
  std::vector<double> sums(pieces.size());
  parallel(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    const Piece& piece = pieces[static_cast<size_t>(i)];
    const float* x = arrays[piece.array].data + piece.begin;
    double total[4] = {0, 0, 0, 0};
    for (int64_t j = 0; j < piece.length; j++) total[j & 3] += static_cast<double>(x[j]) * x[j];
    sums[static_cast<size_t>(i)] = (total[0] + total[1]) + (total[2] + total[3]);
  });
  return jsNumber(a.env(), std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0)));
}

napi_value adamW(const Arguments& a) {
  const auto ofParameters = a.elements(0, "parameters"), ofGradients = a.elements(1, "gradients"),
             ofM = a.elements(2, "m"), ofV = a.elements(3, "v");
  const auto parameters = a.floatArrays(ofParameters, "parameters"),
             gradients = a.floatArrays(ofGradients, "gradients"), m = a.floatArrays(ofM, "m"),
             v = a.floatArrays(ofV, "v");
  const size_t count = parameters.size();
  if (gradients.size() != count || m.size() != count || v.size() != count)
    a.fail("parameters, gradients, m and v must be equally many");
  for (size_t i = 0; i < count; i++) {
    const int64_t length = parameters[i].length;
    if (gradients[i].length < length || m[i].length < length || v[i].length < length) {
      a.fail("tensor " + std::to_string(i) + " has " + std::to_string(length) +
             " parameters, but gradients, m or v are shorter");
    }
  }
  const auto perTensor = [&](size_t index, const char* name) {
    return a.doubles(index, name, static_cast<int64_t>(count));
  };
  const double *stepSizes = perTensor(4, "stepSizes"),
               *rootCorrections = perTensor(5, "rootCorrections"),
               *shrinks = perTensor(6, "shrinks");
  const double beta1 = a.number(7, "beta1"), beta2 = a.number(8, "beta2"),
               epsilon = a.number(9, "epsilon"), scale = a.number(10, "gradientScale");
  if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1))
    a.fail("beta1 and beta2 must be at least 0 and below 1");
  const std::vector<Piece> pieces = piecesOf(parameters);
  parallel(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    const Piece& piece = pieces[static_cast<size_t>(i)];
    const size_t t = piece.array;
    const AdamWStep values = {shrinks[t], stepSizes[t],       1 - beta1, beta2,
                              1 - beta2,  rootCorrections[t], epsilon,   scale};
    kernels().adamWRun(values, parameters[t].data + piece.begin, gradients[t].data + piece.begin,
                       m[t].data + piece.begin, v[t].data + piece.begin, piece.length);
  });
  return nullptr;
}

}  // namespace

void exportOptimizer(Exports& exports) {
  exports.push_back({"l2Norm", call<l2Norm>});
  exports.push_back({"adamW", call<adamW>});
}

}  // namespace peft
