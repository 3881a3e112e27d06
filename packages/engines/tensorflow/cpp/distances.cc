// Scores that depend on the distance of query and key: DeBERTa's position terms, by distance on the
// way in and out.
//
// Key terms [rows, M], M = rows + columns − 1: element (i, m) belongs to the score of query i and
// key j = m + i − (rows − 1). Query terms [columns, M]: element (j, m) belongs to the score of key
// j and query i = m + j − (columns − 1).
#include "parallel.h"
#include "tensorflow-kernels.h"
#include "vector-math.h"

namespace peft {
namespace {

constexpr int64_t kTile = 16;

/** scores = scale·(products + key terms + query terms) of one head; terms may be null. */
PEFT_VECTORISED void distanceScores(const float* __restrict products,
                                    const float* __restrict keyTerms,
                                    const float* __restrict queryTerms, float* __restrict scores,
                                    int64_t rows, int64_t columns, float scale) {
  const int64_t width = rows + columns - 1;
  for (int64_t first = 0; first < rows; first += kTile) {
    const int64_t last = first + kTile < rows ? first + kTile : rows;
    for (int64_t left = 0; left < columns; left += kTile) {
      const int64_t right = left + kTile < columns ? left + kTile : columns;
      float turned[kTile][kTile] = {};
      if (queryTerms) {
        for (int64_t j = left; j < right; j++) {
          const float* from = queryTerms + j * width + (columns - 1 - j);
          for (int64_t i = first; i < last; i++) turned[i - first][j - left] = from[i];
        }
      }
      for (int64_t i = first; i < last; i++) {
        const float* from = products + i * columns;
        float* to = scores + i * columns;
        if (keyTerms) {
          const float* terms = keyTerms + i * width + (rows - 1 - i);
          for (int64_t j = left; j < right; j++)
            to[j] = scale * (from[j] + terms[j] + turned[i - first][j - left]);
        } else {
          for (int64_t j = left; j < right; j++)
            to[j] = scale * (from[j] + turned[i - first][j - left]);
        }
      }
    }
  }
}

/** The scores' gradients in the order of key terms, zero where a distance does not occur. */
PEFT_VECTORISED void keyDistances(const float* __restrict dscores, float* __restrict dterms,
                                  int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; i++, dscores += columns, dterms += rows + columns - 1) {
    const int64_t before = rows - 1 - i;
    for (int64_t m = 0; m < before; m++) dterms[m] = 0.0f;
    for (int64_t j = 0; j < columns; j++) dterms[before + j] = dscores[j];
    for (int64_t m = before + columns; m < rows + columns - 1; m++) dterms[m] = 0.0f;
  }
}

/** The same in the order of query terms. */
PEFT_VECTORISED void queryDistances(const float* __restrict dscores, float* __restrict dterms,
                                    int64_t rows, int64_t columns) {
  const int64_t width = rows + columns - 1;
  for (int64_t j = 0; j < columns; j++) {
    float* to = dterms + j * width;
    for (int64_t m = 0; m < columns - 1 - j; m++) to[m] = 0.0f;
    for (int64_t m = columns - 1 - j + rows; m < width; m++) to[m] = 0.0f;
  }
  for (int64_t left = 0; left < columns; left += kTile) {
    const int64_t right = left + kTile < columns ? left + kTile : columns;
    for (int64_t first = 0; first < rows; first += kTile) {
      const int64_t last = first + kTile < rows ? first + kTile : rows;
      float turned[kTile][kTile];
      for (int64_t i = first; i < last; i++) {
        for (int64_t j = left; j < right; j++)
          turned[j - left][i - first] = dscores[i * columns + j];
      }
      for (int64_t j = left; j < right; j++) {
        float* to = dterms + j * width + (columns - 1 - j);
        for (int64_t i = first; i < last; i++) to[i] = turned[j - left][i - first];
      }
    }
  }
}

struct Heads {
  Shape outer;
  int64_t count, rows, columns;
};

/** Of `[…, rows, columns]`. */
Heads headsOf(const Call::Input& x) {
  if (x.shape.size() < 2) throw Refusal("scores must have rows and columns");
  const int64_t rows = x.shape[x.shape.size() - 2], columns = x.shape.back();
  if (rows == 0 || columns == 0) throw Refusal("scores must have rows and columns");
  return {Shape(x.shape.begin(), x.shape.end() - 2), x.size() / (rows * columns), rows, columns};
}

/** products `[…, rows, columns]`, key terms `[…, rows, M]` and query terms `[…, columns, M]`; terms
 * of no elements are none. */
struct DistanceScores {
  explicit DistanceScores(Attributes& attributes) : scale(attributes.real("scale")) {}
  void compute(Call& call) const {
    const Call::Input products = call.input(0), keys = call.input(1), queries = call.input(2);
    const Heads heads = headsOf(products);
    const int64_t width = heads.rows + heads.columns - 1;
    if (keys.size() != 0 && keys.size() != heads.count * heads.rows * width)
      throw Refusal("the key terms do not fit the products");
    if (queries.size() != 0 && queries.size() != heads.count * heads.columns * width)
      throw Refusal("the query terms do not fit the products");
    float* scores = call.output(0, products.shape);
    forPieces(heads.count, [&](int64_t head) {
      const int64_t at = head * heads.rows * heads.columns;
      distanceScores(products.floats() + at,
                     keys.size() ? keys.floats() + head * heads.rows * width : nullptr,
                     queries.size() ? queries.floats() + head * heads.columns * width : nullptr,
                     scores + at, heads.rows, heads.columns, scale);
    });
  }
  float scale;
};

/** dscores `[…, rows, columns]` → `[…, rows, M]`, or with `of_queries` `[…, columns, M]`. */
struct DistanceGradient {
  explicit DistanceGradient(Attributes& attributes) : ofQueries(attributes.flag("of_queries")) {}
  void compute(Call& call) const {
    const Call::Input dscores = call.input(0);
    const Heads heads = headsOf(dscores);
    const int64_t width = heads.rows + heads.columns - 1,
                  lines = ofQueries ? heads.columns : heads.rows;
    Shape shape = heads.outer;
    shape.push_back(lines);
    shape.push_back(width);
    float* dterms = call.output(0, shape);
    forPieces(heads.count, [&](int64_t head) {
      const float* from = dscores.floats() + head * heads.rows * heads.columns;
      float* to = dterms + head * lines * width;
      if (ofQueries)
        queryDistances(from, to, heads.rows, heads.columns);
      else
        keyDistances(from, to, heads.rows, heads.columns);
    });
  }
  bool ofQueries;
};

}  // namespace

void defineDistances() {
  define<DistanceScores>("PeftDistanceScores",
                         {{"products: float", "key_terms: float", "query_terms: float"},
                          {"scores: float"},
                          {"scale: float"}});
  define<DistanceGradient>("PeftDistanceGradient",
                           {{"dscores: float"}, {"dterms: float"}, {"of_queries: bool"}});
}

}  // namespace peft
