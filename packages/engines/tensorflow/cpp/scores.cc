// Rows of attention scores: their exponentials on the way forward, and what the gradient makes of
// them.
#include <cmath>

#include "parallel.h"
#include "tensorflow-kernels.h"
#include "vector-math.h"

namespace peft {
namespace {

/** The largest of a row. */
PEFT_INLINE float largestOf(const float* row, int64_t width) {
  float lanes[16];
  for (int lane = 0; lane < 16; lane++) lanes[lane] = row[0];
  int64_t i = 0;
  for (; i + 16 <= width; i += 16) {
    for (int lane = 0; lane < 16; lane++)
      lanes[lane] = lanes[lane] > row[i + lane] ? lanes[lane] : row[i + lane];
  }
  for (; i < width; i++) lanes[i & 15] = lanes[i & 15] > row[i] ? lanes[i & 15] : row[i];
  float largest = lanes[0];
  for (int lane = 1; lane < 16; lane++) largest = largest > lanes[lane] ? largest : lanes[lane];
  return largest;
}

PEFT_VECTORISED void exponentialRows(const float* __restrict scores, float* __restrict e,
                                     float* totals, float* logSumExp, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++, scores += width, e += width) {
    const float largest = largestOf(scores, width);
    for (int64_t i = 0; i < width; i++) e[i] = expNegative(scores[i] - largest);
    const float total = sumOf(width, [=](int64_t i) PEFT_ALWAYS { return e[i]; });
    totals[r] = total;
    logSumExp[r] = std::log(total) + largest;
  }
}

PEFT_VECTORISED void probabilityRows(const float* __restrict scores, const float* logSumExp,
                                     float* __restrict p, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++, scores += width, p += width) {
    const float shift = logSumExp[r];
    for (int64_t i = 0; i < width; i++) {
      const float exponent = scores[i] - shift;
      p[i] = expNegative(exponent > 0.0f ? 0.0f : exponent);
    }
  }
}

PEFT_VECTORISED void scoreGradientRows(const float* __restrict p, const float* __restrict dp,
                                       const float* delta, float* __restrict ds, int64_t rows,
                                       int64_t width) {
  for (int64_t r = 0; r < rows; r++, p += width, dp += width, ds += width) {
    const float shift = delta[r];
    for (int64_t i = 0; i < width; i++) ds[i] = p[i] * (dp[i] - shift);
  }
}

int64_t lastAxis(const Call::Input& x) {
  if (x.shape.empty() || x.shape.back() == 0) throw Refusal("scores must have columns");
  return x.shape.back();
}

Shape oneColumn(Shape shape) {
  shape.back() = 1;
  return shape;
}

/** e = exp(score − largest of the row), its sums, and log Σ exp(score); the last axis is the row.
 */
struct ScoreExponentials {
  explicit ScoreExponentials(Attributes&) {}
  void compute(Call& call) const {
    const Call::Input scores = call.input(0);
    const int64_t width = lastAxis(scores);
    float* e = call.output(0, scores.shape);
    float* totals = call.output(1, oneColumn(scores.shape));
    float* logSumExp = call.output(2, oneColumn(scores.shape));
    forRanges(scores.size() / width, rowsOfPiece(width), [&](int64_t begin, int64_t end) {
      exponentialRows(scores.floats() + begin * width, e + begin * width, totals + begin,
                      logSumExp + begin, end - begin, width);
    });
  }
};

/** p = exp(score − logSumExp) */
struct ScoreProbabilities {
  explicit ScoreProbabilities(Attributes&) {}
  void compute(Call& call) const {
    const Call::Input scores = call.input(0);
    const int64_t width = lastAxis(scores), rows = scores.size() / width;
    const Call::Input logSumExp = call.input(1, rows, "log_sum_exp");
    float* p = call.output(0, scores.shape);
    forRanges(rows, rowsOfPiece(width), [&](int64_t begin, int64_t end) {
      probabilityRows(scores.floats() + begin * width, logSumExp.floats() + begin,
                      p + begin * width, end - begin, width);
    });
  }
};

/** ds = p ⊙ (dp − δ) */
struct ScoreGradient {
  explicit ScoreGradient(Attributes&) {}
  void compute(Call& call) const {
    const Call::Input p = call.input(0);
    const int64_t width = lastAxis(p), rows = p.size() / width;
    const Call::Input dp = call.input(1, p.size(), "dp"), delta = call.input(2, rows, "delta");
    float* ds = call.output(0, p.shape);
    forRanges(rows, rowsOfPiece(width), [&](int64_t begin, int64_t end) {
      scoreGradientRows(p.floats() + begin * width, dp.floats() + begin * width,
                        delta.floats() + begin, ds + begin * width, end - begin, width);
    });
  }
};

}  // namespace

void defineScores() {
  define<ScoreExponentials>(
      "PeftScoreExponentials",
      {{"scores: float"}, {"exponentials: float", "totals: float", "log_sum_exp: float"}, {}});
  define<ScoreProbabilities>(
      "PeftScoreProbabilities",
      {{"scores: float", "log_sum_exp: float"}, {"probabilities: float"}, {}});
  define<ScoreGradient>(
      "PeftScoreGradient",
      {{"probabilities: float", "dprobabilities: float", "delta: float"}, {"dscores: float"}, {}});
}

}  // namespace peft
