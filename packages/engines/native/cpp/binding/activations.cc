#include "../core/dispatch.h"
#include "../core/thread-pool.h"
#include "exports.h"

namespace peft {
namespace {

constexpr int64_t kElements = 8192;  // that make a task worth sending to another thread

Activation kindOf(const Arguments& a) {
  return static_cast<Activation>(a.size(0, "kind", 0, static_cast<int>(Activation::count) - 1));
}

napi_value activation(const Arguments& a) {
  const Activation kind = kindOf(a);
  const int64_t n = a.size(3, "length");
  const float* x = a.floats(1, "x", n);
  float* y = a.floats(2, "y", n);
  parallelRanges(n, kElements, 64, [&](int64_t begin, int64_t end) {
    kernels().activationRun(kind, x + begin, y + begin, end - begin);
  });
  return nullptr;
}

napi_value activationGradient(const Arguments& a) {
  const Activation kind = kindOf(a);
  const int64_t n = a.size(4, "length");
  const float *x = a.floats(1, "x", n), *dy = a.floats(2, "dy", n);
  float* dx = a.floats(3, "dx", n);
  parallelRanges(n, kElements, 64, [&](int64_t begin, int64_t end) {
    kernels().activationGradientRun(kind, x + begin, dy + begin, dx + begin, end - begin);
  });
  return nullptr;
}

napi_value gatedActivation(const Arguments& a) {
  const Activation kind = kindOf(a);
  const int64_t n = a.size(4, "length");
  const float *gate = a.floats(1, "gate", n), *up = a.floats(2, "up", n);
  float* y = a.floats(3, "y", n);
  parallelRanges(n, kElements, 64, [&](int64_t begin, int64_t end) {
    kernels().gatedRun(kind, gate + begin, up + begin, y + begin, end - begin);
  });
  return nullptr;
}

napi_value gatedActivationGradient(const Arguments& a) {
  const Activation kind = kindOf(a);
  const int64_t n = a.size(6, "length");
  const float *gate = a.floats(1, "gate", n), *up = a.floats(2, "up", n),
              *dy = a.floats(3, "dy", n);
  float *dgate = a.floats(4, "dgate", n), *dup = a.floats(5, "dup", n);
  parallelRanges(n, kElements, 64, [&](int64_t begin, int64_t end) {
    kernels().gatedGradientRun(kind, gate + begin, up + begin, dy + begin, dgate + begin,
                               dup + begin, end - begin);
  });
  return nullptr;
}

}  // namespace

void exportActivations(Exports& exports) {
  exports.push_back({"activation", call<activation>});
  exports.push_back({"activationGradient", call<activationGradient>});
  exports.push_back({"gatedActivation", call<gatedActivation>});
  exports.push_back({"gatedActivationGradient", call<gatedActivationGradient>});
}

}  // namespace peft
