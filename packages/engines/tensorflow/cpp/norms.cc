// Layer norm and RMS norm over rows of D elements, and their gradients; as ops/src/layer-norm.ts
// and rms-norm.ts write them.
#include <cmath>

#include "parallel.h"
#include "row-sums.h"
#include "tensorflow-kernels.h"
#include "vector-math.h"

namespace peft {
namespace {

struct Matrix {
  int64_t rows, width;
};

Matrix matrixOf(const Call::Input& x) {
  if (x.shape.size() != 2) throw Refusal("x must have two axes");
  return {x.shape[0], x.shape[1]};
}

PEFT_VECTORISED void layerNormRows(const float* __restrict x, const float* __restrict gamma,
                                   const float* __restrict beta, float* __restrict y, float* mean,
                                   float* inverse, int64_t rows, int64_t width, float epsilon) {
  for (int64_t r = 0; r < rows; r++, x += width, y += width) {
    const float center =
        sumOf(width, [=](int64_t i) PEFT_ALWAYS { return x[i]; }) / static_cast<float>(width);
    const float squares =
        sumOf(width, [=](int64_t i) PEFT_ALWAYS { return (x[i] - center) * (x[i] - center); });
    const float scale = 1.0f / std::sqrt(squares / static_cast<float>(width) + epsilon);
    mean[r] = center;
    inverse[r] = scale;
    if (beta) {
      for (int64_t i = 0; i < width; i++) y[i] = (x[i] - center) * scale * gamma[i] + beta[i];
    } else {
      for (int64_t i = 0; i < width; i++) y[i] = (x[i] - center) * scale * gamma[i];
    }
  }
}

/** With x̂ = (x−μ)·s and g = dy ⊙ γ: dx = s·(g − mean(g) − x̂·mean(g ⊙ x̂)). */
PEFT_VECTORISED void layerNormInputRows(const float* __restrict x, const float* __restrict gamma,
                                        const float* mean, const float* inverse,
                                        const float* __restrict dy, float* __restrict dx,
                                        int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++, x += width, dy += width, dx += width) {
    const float center = mean[r], scale = inverse[r];
    const float first = sumOf(width, [=](int64_t i) PEFT_ALWAYS { return dy[i] * gamma[i]; }) /
                        static_cast<float>(width);
    const float second =
        sumOf(width,
              [=](int64_t i) PEFT_ALWAYS { return dy[i] * gamma[i] * ((x[i] - center) * scale); }) /
        static_cast<float>(width);
    for (int64_t i = 0; i < width; i++)
      dx[i] = scale * (dy[i] * gamma[i] - first - (x[i] - center) * scale * second);
  }
}

/** dγ += dy ⊙ x̂ and dβ += dy, either null where not wanted. `mean` is null for an RMS norm. */
PEFT_VECTORISED void scaleGradientRows(const float* __restrict x, const float* mean,
                                       const float* inverse, const float* __restrict dy,
                                       float* __restrict dgamma, float* __restrict dbeta,
                                       int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++, x += width, dy += width) {
    const float center = mean ? mean[r] : 0.0f, scale = inverse[r];
    if (dgamma) {
      for (int64_t i = 0; i < width; i++) dgamma[i] += dy[i] * ((x[i] - center) * scale);
    }
    if (dbeta) {
      for (int64_t i = 0; i < width; i++) dbeta[i] += dy[i];
    }
  }
}

PEFT_VECTORISED void rmsNormRows(const float* __restrict x, const float* __restrict gamma,
                                 float* __restrict y, float* inverse, int64_t rows, int64_t width,
                                 float epsilon, float offset) {
  for (int64_t r = 0; r < rows; r++, x += width, y += width) {
    const float scale =
        1.0f / std::sqrt(sumOf(width, [=](int64_t i) PEFT_ALWAYS { return x[i] * x[i]; }) /
                             static_cast<float>(width) +
                         epsilon);
    inverse[r] = scale;
    for (int64_t i = 0; i < width; i++) y[i] = x[i] * scale * (gamma[i] + offset);
  }
}

/** With x̂ = x·s and g = dy ⊙ (γ + offset): dx = s·(g − x̂·mean(g ⊙ x̂)). */
PEFT_VECTORISED void rmsNormInputRows(const float* __restrict x, const float* __restrict gamma,
                                      const float* inverse, const float* __restrict dy,
                                      float* __restrict dx, int64_t rows, int64_t width,
                                      float offset) {
  for (int64_t r = 0; r < rows; r++, x += width, dy += width, dx += width) {
    const float scale = inverse[r];
    const float mean =
        sumOf(width,
              [=](int64_t i) PEFT_ALWAYS { return dy[i] * (gamma[i] + offset) * (x[i] * scale); }) /
        static_cast<float>(width);
    for (int64_t i = 0; i < width; i++)
      dx[i] = scale * (dy[i] * (gamma[i] + offset) - x[i] * scale * mean);
  }
}

/** dγ and dβ, either null where not wanted: both in one pass over the rows. */
void scaleGradients(const float* x, const float* mean, const float* inverse, const float* dy,
                    float* dgamma, float* dbeta, Matrix m) {
  const int64_t betaAt = dgamma ? m.width : 0;
  std::vector<float> total(static_cast<size_t>(betaAt + (dbeta ? m.width : 0)));
  sumPieces(m.rows, static_cast<int64_t>(total.size()), total.data(),
            [&](int64_t begin, int64_t end, float* sums) {
              scaleGradientRows(x + begin * m.width, mean ? mean + begin : nullptr, inverse + begin,
                                dy + begin * m.width, dgamma ? sums : nullptr,
                                dbeta ? sums + betaAt : nullptr, end - begin, m.width);
            });
  if (dgamma) std::copy_n(total.data(), m.width, dgamma);
  if (dbeta) std::copy_n(total.data() + betaAt, m.width, dbeta);
}

/** y = (x−μ)/√(σ²+ε)·γ + β; a beta of no elements is none. */
struct LayerNorm {
  explicit LayerNorm(Attributes& attributes) : epsilon(attributes.real("epsilon")) {}
  void compute(Call& call) const {
    const Call::Input x = call.input(0);
    const Matrix m = matrixOf(x);
    const Call::Input gamma = call.input(1, m.width, "gamma"), beta = call.input(2);
    if (beta.size() != 0 && beta.size() != m.width) throw Refusal("beta has not the width of x");
    float* y = call.output(0, x.shape);
    float* mean = call.output(1, {m.rows});
    float* inverse = call.output(2, {m.rows});
    forRanges(m.rows, rowsOfPiece(m.width), [&](int64_t begin, int64_t end) {
      layerNormRows(x.floats() + begin * m.width, gamma.floats(),
                    beta.size() > 0 ? beta.floats() : nullptr, y + begin * m.width, mean + begin,
                    inverse + begin, end - begin, m.width, epsilon);
    });
  }
  float epsilon;
};

struct LayerNormGradient {
  explicit LayerNormGradient(Attributes& attributes)
      : needX(attributes.flag("need_x")),
        needGamma(attributes.flag("need_gamma")),
        needBeta(attributes.flag("need_beta")) {}
  void compute(Call& call) const {
    const Call::Input x = call.input(0);
    const Matrix m = matrixOf(x);
    const Call::Input gamma = call.input(1, m.width, "gamma"), mean = call.input(2, m.rows, "mean"),
                      inverse = call.input(3, m.rows, "inverse_std"),
                      dy = call.input(4, x.size(), "dy");
    float* dx = call.outputIf(needX, 0, x.shape);
    float* dgamma = call.outputIf(needGamma, 1, {m.width});
    float* dbeta = call.outputIf(needBeta, 2, {m.width});
    if (dx) {
      forRanges(m.rows, rowsOfPiece(m.width), [&](int64_t begin, int64_t end) {
        layerNormInputRows(x.floats() + begin * m.width, gamma.floats(), mean.floats() + begin,
                           inverse.floats() + begin, dy.floats() + begin * m.width,
                           dx + begin * m.width, end - begin, m.width);
      });
    }
    if (dgamma || dbeta)
      scaleGradients(x.floats(), mean.floats(), inverse.floats(), dy.floats(), dgamma, dbeta, m);
  }
  bool needX, needGamma, needBeta;
};

/** y = x/√(mean(x²)+ε)·(γ+offset) */
struct RmsNorm {
  explicit RmsNorm(Attributes& attributes)
      : epsilon(attributes.real("epsilon")), offset(attributes.real("gamma_offset")) {}
  void compute(Call& call) const {
    const Call::Input x = call.input(0);
    const Matrix m = matrixOf(x);
    const Call::Input gamma = call.input(1, m.width, "gamma");
    float* y = call.output(0, x.shape);
    float* inverse = call.output(1, {m.rows});
    forRanges(m.rows, rowsOfPiece(m.width), [&](int64_t begin, int64_t end) {
      rmsNormRows(x.floats() + begin * m.width, gamma.floats(), y + begin * m.width,
                  inverse + begin, end - begin, m.width, epsilon, offset);
    });
  }
  float epsilon, offset;
};

struct RmsNormGradient {
  explicit RmsNormGradient(Attributes& attributes)
      : offset(attributes.real("gamma_offset")),
        needX(attributes.flag("need_x")),
        needGamma(attributes.flag("need_gamma")) {}
  void compute(Call& call) const {
    const Call::Input x = call.input(0);
    const Matrix m = matrixOf(x);
    const Call::Input gamma = call.input(1, m.width, "gamma"),
                      inverse = call.input(2, m.rows, "inverse_rms"),
                      dy = call.input(3, x.size(), "dy");
    float* dx = call.outputIf(needX, 0, x.shape);
    float* dgamma = call.outputIf(needGamma, 1, {m.width});
    if (dx) {
      forRanges(m.rows, rowsOfPiece(m.width), [&](int64_t begin, int64_t end) {
        rmsNormInputRows(x.floats() + begin * m.width, gamma.floats(), inverse.floats() + begin,
                         dy.floats() + begin * m.width, dx + begin * m.width, end - begin, m.width,
                         offset);
      });
    }
    if (dgamma)
      scaleGradients(x.floats(), nullptr, inverse.floats(), dy.floats(), dgamma, nullptr, m);
  }
  float offset;
  bool needX, needGamma;
};

}  // namespace

void defineNorms() {
  define<LayerNorm>("PeftLayerNorm", {{"x: float", "gamma: float", "beta: float"},
                                      {"y: float", "mean: float", "inverse_std: float"},
                                      {"epsilon: float"}});
  define<LayerNormGradient>(
      "PeftLayerNormGradient",
      {{"x: float", "gamma: float", "mean: float", "inverse_std: float", "dy: float"},
       {"dx: float", "dgamma: float", "dbeta: float"},
       {"need_x: bool", "need_gamma: bool", "need_beta: bool"}});
  define<RmsNorm>("PeftRmsNorm", {{"x: float", "gamma: float"},
                                  {"y: float", "inverse_rms: float"},
                                  {"epsilon: float", "gamma_offset: float"}});
  define<RmsNormGradient>("PeftRmsNormGradient",
                          {{"x: float", "gamma: float", "inverse_rms: float", "dy: float"},
                           {"dx: float", "dgamma: float"},
                           {"gamma_offset: float", "need_x: bool", "need_gamma: bool"}});
}

}  // namespace peft
