#include "../attention/attention.h"
#include "../attention/disentangled.h"
#include "exports.h"

namespace peft {
namespace {

/** [sequences + 1] from 0, not falling; returns the number of rows. */
int64_t rowsOf(const Arguments& a, const Options::Integers& offsets, const char* name) {
  if (offsets.length < 1 || offsets.data[0] != 0) a.fail(std::string(name) + " must start with 0");
  for (int64_t b = 1; b < offsets.length; b++) {
    if (offsets.data[b] < offsets.data[b - 1])
      a.fail(std::string(name) + "[" + std::to_string(b) + "] is less than the one before");
  }
  return offsets.data[offsets.length - 1];
}

void checkTable(const Arguments& a, const Options::Integers& index, int64_t limit,
                const char* name) {
  if (index.length == 0) a.fail(std::string(name) + " is empty");
  for (int64_t i = 0; i < index.length; i++) {
    if (index.data[i] < 0 || index.data[i] >= limit)
      a.fail(std::string(name) + "[" + std::to_string(i) + "] is " + std::to_string(index.data[i]) +
             ", outside the " + std::to_string(limit) + " of the table");
  }
}

/** The keys of each sequence are among `rows`. */
void checkStarts(const Arguments& a, const Options::Integers& offsets,
                 const Options::Integers& starts, int64_t rows) {
  if (starts.length != offsets.length - 1) a.fail("keyStarts must have one row per sequence");
  for (int64_t b = 0; b < starts.length; b++) {
    const int64_t end = int64_t{starts.data[b]} + offsets.data[b + 1] - offsets.data[b];
    if (starts.data[b] < 0 || end > rows)
      a.fail("keyStarts[" + std::to_string(b) + "] leads outside the " + std::to_string(rows) +
             " rows of keys");
  }
}

float rateOf(const Arguments& a, const Options& o) {
  const float rate = o.finite("dropoutRate");
  if (!(rate >= 0 && rate < 1)) a.fail("dropoutRate must be at least 0 and below 1");
  return rate;
}

struct Checked {
  AttentionProblem p{};
  int64_t queries, keys;
};

/** Reads the options, then the arrays that both directions have in common (arguments 0 … 5). */
Checked attentionProblem(const Arguments& a, size_t optionsIndex) {
  const Options o(
      a, optionsIndex,
      {"heads", "keyValueHeads", "headSize", "scale", "causal", "window", "softCap", "biasOrigin",
       "biasColumns", "extra", "dropoutRate", "dropoutKey0", "dropoutKey1", "bf16", "queryOffsets",
       "keyOffsets", "keyStarts", "keyRows", "biasIndex"});
  Checked checked;
  AttentionProblem& p = checked.p;
  p.heads = o.size("heads", 1, 1 << 20);
  p.keyValueHeads = o.size("keyValueHeads", 1, 1 << 20);
  p.headSize = o.size("headSize", 1, kLargestHead);
  if (p.heads % p.keyValueHeads != 0)
    a.fail(std::to_string(p.heads) + " heads cannot share " + std::to_string(p.keyValueHeads) +
           " key heads");
  p.scale = o.finite("scale");
  p.causal = o.boolean("causal");
  p.window = o.size("window", 0, int64_t{1} << 31);
  p.softCap = o.finite("softCap");
  if (p.softCap < 0) a.fail("softCap must not be negative");
  p.biasOrigin = o.size("biasOrigin", -(int64_t{1} << 31), int64_t{1} << 31);
  p.biasColumns = o.size("biasColumns");
  p.extra = o.size("extra");
  p.rate = rateOf(a, o);
  p.key0 = o.word("dropoutKey0");
  p.key1 = o.word("dropoutKey1");
  p.bf16 = o.boolean("bf16");
  const Options::Integers queryOffsets = o.integers("queryOffsets"),
                          keyOffsets = o.integers("keyOffsets"),
                          keyStarts = o.integers("keyStarts", true),
                          biasIndex = o.integers("biasIndex", true);
  checked.queries = rowsOf(a, queryOffsets, "queryOffsets");
  checked.keys = rowsOf(a, keyOffsets, "keyOffsets");
  if (queryOffsets.length != keyOffsets.length)
    a.fail("queryOffsets and keyOffsets must be equally long");
  p.queryOffsets = queryOffsets.data;
  p.keyOffsets = keyOffsets.data;
  p.sequences = queryOffsets.length - 1;
  if (keyStarts.data) {
    checked.keys = o.size("keyRows");
    checkStarts(a, keyOffsets, keyStarts, checked.keys);
    p.keyStarts = keyStarts.data;
  }
  p.q = a.floats(0, "q", product(checked.queries, p.queryWidth()));
  p.k = a.floats(1, "k", product(checked.keys, p.keyWidth()));
  p.v = a.floats(2, "v", product(checked.keys, p.keyWidth()));
  p.bias = a.optionalFloats(3, "bias", product(p.heads, p.biasColumns));
  if (p.bias) {
    if (!biasIndex.data) a.fail("bias needs biasIndex");
    checkTable(a, biasIndex, p.biasColumns, "biasIndex");
    p.biasIndex = biasIndex.data;
    p.biasIndexLength = biasIndex.length;
  }
  if (p.extra > 0) {
    p.extraKeys = a.floats(4, "extraKeys", product(p.extra, p.keyWidth()));
    p.extraValues = a.floats(5, "extraValues", product(p.extra, p.keyWidth()));
  }
  return checked;
}

napi_value attention(const Arguments& a) {
  const Checked checked = attentionProblem(a, 8);
  float* y = a.floats(6, "y", product(checked.queries, checked.p.queryWidth()));
  float* logSumExp = a.floats(7, "logSumExp", product(checked.queries, checked.p.heads));
  attentionForward(checked.p, y, logSumExp);
  return nullptr;
}

napi_value attentionGradient(const Arguments& a) {
  const Checked checked = attentionProblem(a, 15);
  const AttentionProblem& p = checked.p;
  if (p.keyStarts) a.fail("keys with room between sequences have no gradient");
  const int64_t queries = product(checked.queries, p.queryWidth()),
                keys = product(checked.keys, p.keyWidth()), extra = product(p.extra, p.keyWidth());
  AttentionGradients g{};
  g.y = a.floats(6, "y", queries);
  g.logSumExp = a.floats(7, "logSumExp", product(checked.queries, p.heads));
  g.dy = a.floats(8, "dy", queries);
  g.dq = a.floats(9, "dq", queries);
  g.dk = a.floats(10, "dk", keys);
  g.dv = a.floats(11, "dv", keys);
  g.dbias = a.optionalFloats(12, "dbias", product(p.heads, p.biasColumns));
  if (g.dbias && !p.bias) a.fail("dbias was asked for without a bias");
  if (p.extra > 0) {
    g.dextraKeys = a.floats(13, "dextraKeys", extra);
    g.dextraValues = a.floats(14, "dextraValues", extra);
  }
  attentionBackward(p, g);
  return nullptr;
}

struct CheckedDisentangled {
  DisentangledProblem p{};
  int64_t rows;
};

CheckedDisentangled disentangledProblem(const Arguments& a, size_t optionsIndex) {
  const Options o(
      a, optionsIndex,
      {"heads", "headSize", "scale", "relativeOrigin", "positions", "dropoutRate", "dropoutKey0",
       "dropoutKey1", "bf16", "offsets", "contentToPositionIndex", "positionToContentIndex"});
  CheckedDisentangled checked;
  DisentangledProblem& p = checked.p;
  p.heads = o.size("heads", 1, 1 << 20);
  p.headSize = o.size("headSize", 1, kLargestDisentangledHead);
  p.scale = o.finite("scale");
  p.relativeOrigin = o.size("relativeOrigin", -(int64_t{1} << 31), int64_t{1} << 31);
  p.positions = o.size("positions");
  p.rate = rateOf(a, o);
  p.key0 = o.word("dropoutKey0");
  p.key1 = o.word("dropoutKey1");
  p.bf16 = o.boolean("bf16");
  const Options::Integers offsets = o.integers("offsets"),
                          toPosition = o.integers("contentToPositionIndex"),
                          toContent = o.integers("positionToContentIndex");
  checked.rows = rowsOf(a, offsets, "offsets");
  p.offsets = offsets.data;
  p.sequences = offsets.length - 1;
  p.contentToPosition = toPosition.data;
  p.contentToPositionLength = toPosition.length;
  p.positionToContent = toContent.data;
  p.positionToContentLength = toContent.length;
  const int64_t elements = product(checked.rows, p.width()),
                table = product(p.positions, p.width());
  p.q = a.floats(0, "q", elements);
  p.k = a.floats(1, "k", elements);
  p.v = a.floats(2, "v", elements);
  p.positionKeys = a.optionalFloats(3, "positionKeys", table);
  p.positionQueries = a.optionalFloats(4, "positionQueries", table);
  if (p.positionKeys) checkTable(a, toPosition, p.positions, "contentToPositionIndex");
  if (p.positionQueries) checkTable(a, toContent, p.positions, "positionToContentIndex");
  return checked;
}

napi_value disentangledAttention(const Arguments& a) {
  const CheckedDisentangled checked = disentangledProblem(a, 7);
  float* y = a.floats(5, "y", product(checked.rows, checked.p.width()));
  float* logSumExp = a.floats(6, "logSumExp", product(checked.rows, checked.p.heads));
  disentangledForward(checked.p, y, logSumExp);
  return nullptr;
}

napi_value disentangledAttentionGradient(const Arguments& a) {
  const CheckedDisentangled checked = disentangledProblem(a, 13);
  const DisentangledProblem& p = checked.p;
  const int64_t elements = product(checked.rows, p.width()),
                table = product(p.positions, p.width());
  DisentangledGradients g{};
  g.y = a.floats(5, "y", elements);
  g.logSumExp = a.floats(6, "logSumExp", product(checked.rows, p.heads));
  g.dy = a.floats(7, "dy", elements);
  g.dq = a.floats(8, "dq", elements);
  g.dk = a.floats(9, "dk", elements);
  g.dv = a.floats(10, "dv", elements);
  g.dpositionKeys = a.optionalFloats(11, "dpositionKeys", table);
  g.dpositionQueries = a.optionalFloats(12, "dpositionQueries", table);
  if ((g.dpositionKeys && !p.positionKeys) || (g.dpositionQueries && !p.positionQueries))
    a.fail("a gradient was asked for of a position table that is not there");
  disentangledBackward(p, g);
  return nullptr;
}

}  // namespace

void exportAttention(Exports& exports) {
  exports.push_back({"attention", call<attention>});
  exports.push_back({"attentionGradient", call<attentionGradient>});
  exports.push_back({"disentangledAttention", call<disentangledAttention>});
  exports.push_back({"disentangledAttentionGradient", call<disentangledAttentionGradient>});
}

}  // namespace peft
