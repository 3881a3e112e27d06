// What is done to whole rows: the end of a product (bias, activation), sums over rows, IA3's column
// factors.
#include "activations.h"
#include "parallel.h"
#include "row-sums.h"
#include "tensorflow-kernels.h"
#include "vector-math.h"

namespace peft {
namespace {

/** sums = product + bias in float32, for rows of a product in float32 or bfloat16. `bias` may be
 * null. */
PEFT_VECTORISED void addBiasRows(const float* __restrict product, const float* __restrict bias,
                                 float* __restrict sums, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++, product += width, sums += width) {
    for (int64_t i = 0; i < width; i++) sums[i] = product[i] + (bias ? bias[i] : 0.0f);
  }
}

PEFT_VECTORISED void addBiasRows(const uint16_t* __restrict product, const float* __restrict bias,
                                 float* __restrict sums, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++, product += width, sums += width) {
    for (int64_t i = 0; i < width; i++)
      sums[i] = fromBfloat16(product[i]) + (bias ? bias[i] : 0.0f);
  }
}

PEFT_VECTORISED void addRows(const float* __restrict x, float* __restrict sums, int64_t rows,
                             int64_t width) {
  for (int64_t r = 0; r < rows; r++, x += width) {
    for (int64_t i = 0; i < width; i++) sums[i] += x[i];
  }
}

/** dx = dy ⊙ scale where dx is wanted, sums += x ⊙ dy where these are. */
PEFT_VECTORISED void scaleGradientRows(const float* __restrict x, const float* __restrict scale,
                                       const float* __restrict dy, float* __restrict dx,
                                       float* __restrict sums, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++, x += width, dy += width) {
    if (dx) {
      float* __restrict to = dx + r * width;
      for (int64_t i = 0; i < width; i++) to[i] = dy[i] * scale[i];
    }
    if (sums) {
      for (int64_t i = 0; i < width; i++) sums[i] += x[i] * dy[i];
    }
  }
}

/** z = product + bias, y = f(z); z is given out only with `keep_sums`. Of a product in float32 or
 * bfloat16; kind `none` gives z alone, as y. */
struct ProductEnd {
  explicit ProductEnd(Attributes& attributes) : keepSums(attributes.flag("keep_sums")) {
    const std::string kind = attributes.text("kind");
    if (kind != "none") activation = activationLoops(kind).forward;
  }
  void compute(Call& call) const {
    const Call::Input product = call.input(0), bias = call.input(1);
    if (product.shape.size() != 2) throw Refusal("the product must have two axes");
    const int64_t rows = product.shape[0], width = product.shape[1];
    if (bias.size() != 0 && bias.size() != width)
      throw Refusal("the bias has not the width of the product");
    const float* addend = bias.size() > 0 ? bias.floats() : nullptr;
    float* y = call.output(0, product.shape);
    float* sums = call.outputIf(keepSums && activation, 1, product.shape);
    forRanges(rows, rowsOfPiece(width), [&](int64_t begin, int64_t end) {
      float* z = (sums ? sums : y) + begin * width;
      if (product.type == TF_BFLOAT16)
        addBiasRows(static_cast<const uint16_t*>(product.data) + begin * width, addend, z,
                    end - begin, width);
      else
        addBiasRows(product.floats() + begin * width, addend, z, end - begin, width);
      if (activation) activation(z, y + begin * width, (end - begin) * width);
    });
  }
  void (*activation)(const float*, float*, int64_t) = nullptr;
  bool keepSums;
};

/** Σ_n x[n] */
struct SumRows {
  explicit SumRows(Attributes&) {}
  void compute(Call& call) const {
    const Call::Input x = call.input(0);
    if (x.shape.size() != 2) throw Refusal("x must have two axes");
    const int64_t width = x.shape[1];
    sumPieces(x.shape[0], width, call.output(0, {width}),
              [&](int64_t begin, int64_t end, float* sums) {
                addRows(x.floats() + begin * width, sums, end - begin, width);
              });
  }
};

/** dx = dy ⊙ scale, dscale = Σ_n x ⊙ dy */
struct ScaleColumnsGradient {
  explicit ScaleColumnsGradient(Attributes& attributes)
      : needX(attributes.flag("need_x")), needScale(attributes.flag("need_scale")) {}
  void compute(Call& call) const {
    const Call::Input x = call.input(0);
    if (x.shape.size() != 2) throw Refusal("x must have two axes");
    const int64_t rows = x.shape[0], width = x.shape[1];
    const Call::Input scale = call.input(1, width, "scale"), dy = call.input(2, x.size(), "dy");
    float* dx = call.outputIf(needX, 0, x.shape);
    float* dscale = call.outputIf(needScale, 1, {width});
    auto run = [&](int64_t begin, int64_t end, float* sums) {
      scaleGradientRows(x.floats() + begin * width, scale.floats(), dy.floats() + begin * width,
                        dx ? dx + begin * width : nullptr, sums, end - begin, width);
    };
    if (dscale)
      sumPieces(rows, width, dscale, run);
    else
      forRanges(rows, rowsOfPiece(width),
                [&](int64_t begin, int64_t end) { run(begin, end, nullptr); });
  }
  bool needX, needScale;
};

}  // namespace

void defineRows() {
  define<ProductEnd>("PeftProductEnd",
                     {{"product: T", "bias: float"},
                      {"y: float", "sums: float"},
                      {"T: {float, bfloat16}", "kind: string", "keep_sums: bool"}});
  define<SumRows>("PeftSumRows", {{"x: float"}, {"sums: float"}, {}});
  define<ScaleColumnsGradient>("PeftScaleColumnsGradient",
                               {{"x: float", "scale: float", "dy: float"},
                                {"dx: float", "dscale: float"},
                                {"need_x: bool", "need_scale: bool"}});
}

}  // namespace peft
