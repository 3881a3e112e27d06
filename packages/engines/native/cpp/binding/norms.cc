#include "../core/chunked-sum.h"
#include "exports.h"

namespace peft {
namespace {

constexpr int64_t kElements = 16384;  // that make a task worth sending to another thread

int64_t minimumRows(int64_t d) {
  return std::max<int64_t>(1, kElements / std::max<int64_t>(d, 1));
}

napi_value layerNorm(const Arguments& a) {
  const int64_t n = a.size(6, "n"), d = a.size(7, "d", 1);
  const float epsilon = a.finite(8, "epsilon");
  const float *x = a.floats(0, "x", product(n, d)), *gamma = a.floats(1, "gamma", d),
              *beta = a.floats(2, "beta", d);
  float *y = a.floats(3, "y", product(n, d)), *mean = a.floats(4, "mean", n),
        *inverse = a.floats(5, "inverseStd", n);
  parallelRanges(n, minimumRows(d), 1, [&](int64_t begin, int64_t end) {
    kernels().layerNormRows(x + begin * d, gamma, beta, y + begin * d, mean + begin,
                            inverse + begin, end - begin, d, epsilon);
  });
  return nullptr;
}

/** Splits a partial sum into dgamma and dbeta, of which either may be missing. */
struct TwoSums {
  TwoSums(float* first, float* second, int64_t d) : first_(first), second_(second), d_(d) {}
  int64_t width() const { return (first_ ? d_ : 0) + (second_ ? d_ : 0); }
  float* first(float* partial) const { return first_ ? partial : nullptr; }
  float* second(float* partial) const { return second_ ? partial + (first_ ? d_ : 0) : nullptr; }

  template <class Body>
  void run(int64_t rows, Body&& body) const {
    float* sums = first_ ? first_ : second_;
    std::vector<float> both;
    if (first_ && second_) {
      both.resize(static_cast<size_t>(2 * d_));
      sums = both.data();
    }
    sumOverRows(rows, width(), sums, body);
    if (both.empty()) return;
    std::copy(both.begin(), both.begin() + d_, first_);
    std::copy(both.begin() + d_, both.end(), second_);
  }

 private:
  float *first_, *second_;
  int64_t d_;
};

napi_value layerNormGradient(const Arguments& a) {
  const int64_t n = a.size(8, "n"), d = a.size(9, "d", 1);
  const float *x = a.floats(0, "x", product(n, d)), *gamma = a.floats(1, "gamma", d),
              *mean = a.floats(2, "mean", n), *inverse = a.floats(3, "inverseStd", n);
  const float* dy = a.floats(4, "dy", product(n, d));
  float* dx = a.optionalFloats(5, "dx", product(n, d));
  const TwoSums sums(a.optionalFloats(6, "dgamma", d), a.optionalFloats(7, "dbeta", d), d);
  sums.run(n, [&](int64_t begin, int64_t end, float* partial) {
    kernels().layerNormGradientRows(x + begin * d, gamma, mean + begin, inverse + begin,
                                    dy + begin * d, dx ? dx + begin * d : nullptr,
                                    sums.first(partial), sums.second(partial), end - begin, d);
  });
  return nullptr;
}

napi_value rmsNorm(const Arguments& a) {
  const int64_t n = a.size(4, "n"), d = a.size(5, "d", 1);
  const float epsilon = a.finite(6, "epsilon"), offset = a.finite(7, "gammaOffset");
  const float *x = a.floats(0, "x", product(n, d)), *gamma = a.floats(1, "gamma", d);
  float *y = a.floats(2, "y", product(n, d)), *inverse = a.floats(3, "inverseRms", n);
  parallelRanges(n, minimumRows(d), 1, [&](int64_t begin, int64_t end) {
    kernels().rmsNormRows(x + begin * d, gamma, y + begin * d, inverse + begin, end - begin, d,
                          epsilon, offset);
  });
  return nullptr;
}

napi_value rmsNormGradient(const Arguments& a) {
  const int64_t n = a.size(6, "n"), d = a.size(7, "d", 1);
  const float offset = a.finite(8, "gammaOffset");
  const float *x = a.floats(0, "x", product(n, d)), *gamma = a.floats(1, "gamma", d),
              *inverse = a.floats(2, "inverseRms", n), *dy = a.floats(3, "dy", product(n, d));
  float *dx = a.optionalFloats(4, "dx", product(n, d)), *dgamma = a.optionalFloats(5, "dgamma", d);
  sumOverRows(n, dgamma ? d : 0, dgamma, [&](int64_t begin, int64_t end, float* partial) {
    kernels().rmsNormGradientRows(x + begin * d, gamma, inverse + begin, dy + begin * d,
                                  dx ? dx + begin * d : nullptr, dgamma ? partial : nullptr,
                                  end - begin, d, offset);
  });
  return nullptr;
}

}  // namespace

void exportNorms(Exports& exports) {
  exports.push_back({"layerNorm", call<layerNorm>});
  exports.push_back({"layerNormGradient", call<layerNormGradient>});
  exports.push_back({"rmsNorm", call<rmsNorm>});
  exports.push_back({"rmsNormGradient", call<rmsNormGradient>});
}

}  // namespace peft
