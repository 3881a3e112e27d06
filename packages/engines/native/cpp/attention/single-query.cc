#include "single-query.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "../core/arena.h"
#include "../core/dispatch.h"
#include "../core/thread-pool.h"

namespace peft {
namespace {

constexpr int64_t kRun = 256;  // keys of a task

/** Seen keys [begin, begin + length) of a sequence, or of the extra ones that all sequences see. */
struct Run {
  int64_t sequence, begin, length;
  bool isExtra;
};

/** Runs of one sequence are next to each other. */
std::vector<Run> runsOf(const AttentionProblem& p) {
  std::vector<Run> runs;
  for (int64_t b = 0; b < p.sequences; b++) {
    if (p.queryOffsets[b + 1] == p.queryOffsets[b]) continue;
    const int64_t keys = p.keyOffsets[b + 1] - p.keyOffsets[b];
    const int64_t reach = p.window <= 0 ? keys
                          : p.causal    ? p.window
                                        : p.window / 2 + 1;  // the query stands at the last key
    for (int64_t begin = 0; begin < p.extra; begin += kRun)
      runs.push_back({b, begin, std::min(kRun, p.extra - begin), true});
    for (int64_t begin = std::max<int64_t>(0, keys - reach); begin < keys; begin += kRun)
      runs.push_back({b, begin, std::min(kRun, keys - begin), false});
  }
  return runs;
}

/** What a head found in a run: its largest score, Σ e^{score − largest}, and the values weighed so
 * [size]. */
struct Found {
  float *largest, *total, *values;
};

class SingleQueries {
 public:
  SingleQueries(const AttentionProblem& p)
      : p_(p),
        runs_(runsOf(p)),
        parts_(partsOf(static_cast<int64_t>(runs_.size()), p.keyValueHeads)),
        found_(scratch<float>(Scratch::kAttentionShared,
                              static_cast<int64_t>(runs_.size()) * p.heads * (p.headSize + 2))) {}

  int64_t tasks() const { return static_cast<int64_t>(runs_.size()) * parts_; }

  /** One run of keys for a part of the heads. */
  void find(int64_t task) const {
    const KernelTable& table = kernels();
    const int64_t index = task / parts_, part = task % parts_;
    const int64_t keyHead = p_.keyValueHeads * part / parts_,
                  keyHeads = p_.keyValueHeads * (part + 1) / parts_ - keyHead;
    const Run& run = runs_[static_cast<size_t>(index)];
    const int64_t group = p_.heads / p_.keyValueHeads, size = p_.headSize, width = p_.keyWidth(),
                  firstHead = keyHead * group;
    const int64_t row = run.isExtra ? run.begin : p_.keyOffsets[run.sequence] + run.begin;
    const float* k = (run.isExtra ? p_.extraKeys : p_.k) + row * width + keyHead * size;
    const float* v = (run.isExtra ? p_.extraValues : p_.v) + row * width + keyHead * size;
    float* scores = scratch<float>(Scratch::kAttentionA, keyHeads * group * kRun);
    table.queryKeys(p_.q + p_.queryOffsets[run.sequence] * p_.queryWidth() + firstHead * size,
                    keyHeads, group, k, width, run.length, size, scores, kRun);
    for (int64_t g = 0; g < keyHeads * group; g++) {
      float* line = scores + g * kRun;
      toScores(run, firstHead + g, line);
      const Found found = of(index, firstHead + g);
      *found.largest = table.reduceRun(Reduction::maximum, line, run.length);
      table.probabilityRow(line, *found.largest, 1.0f, line, run.length);
      *found.total = table.reduceRun(Reduction::sum, line, run.length);
    }
    float* values = of(index, firstHead).values;
    std::fill(values, values + keyHeads * group * size, 0.0f);
    table.weighValues(scores, kRun, keyHeads, group, v, width, run.length, size, values);
  }

  /** Puts the runs of one query head together. */
  void join(float* y, float* logSumExp) const {
    const int64_t size = p_.headSize;
    for (size_t first = 0; first < runs_.size();) {
      size_t end = first + 1;
      while (end < runs_.size() && runs_[end].sequence == runs_[first].sequence) end++;
      const int64_t query = p_.queryOffsets[runs_[first].sequence];
      for (int64_t head = 0; head < p_.heads; head++) {
        float largest = -INFINITY, total = 0;
        for (size_t i = first; i < end; i++)
          largest = std::max(largest, *of(static_cast<int64_t>(i), head).largest);
        float* out = y + query * p_.queryWidth() + head * size;
        std::fill(out, out + size, 0.0f);
        for (size_t i = first; i < end; i++) {
          const Found found = of(static_cast<int64_t>(i), head);
          const float weight = std::exp(*found.largest - largest);
          total += *found.total * weight;
          for (int64_t e = 0; e < size; e++) out[e] += found.values[e] * weight;
        }
        for (int64_t e = 0; e < size; e++) out[e] /= total;
        logSumExp[query * p_.heads + head] = largest + std::log(total);
      }
      first = end;
    }
  }

 private:
  /** Heads are shared out only where the runs alone do not keep every thread busy: a run is read
   * best as it lies. */
  static int64_t partsOf(int64_t runs, int64_t keyValueHeads) {
    return runs == 0 ? 1
                     : std::clamp<int64_t>((2 * threadCount() + runs - 1) / runs, 1, keyValueHeads);
  }

  /** Values of a group of heads lie next to each other: [runs][H·(size + 2)], values first. */
  Found of(int64_t index, int64_t head) const {
    float* base = found_ + index * p_.heads * (p_.headSize + 2);
    return {base + p_.heads * p_.headSize + 2 * head, base + p_.heads * p_.headSize + 2 * head + 1,
            base + head * p_.headSize};
  }

  /** From products to scores: cap(scale·product) + bias. */
  void toScores(const Run& run, int64_t head, float* line) const {
    const KernelTable& table = kernels();
    const float factor = p_.softCap > 0 ? p_.scale / p_.softCap : p_.scale;
    table.binaryRun(Binary::multiply, line, false, &factor, true, line, run.length);
    if (p_.softCap > 0) {
      table.activationRun(Activation::tanh, line, line, run.length);
      table.binaryRun(Binary::multiply, line, false, &p_.softCap, true, line, run.length);
    }
    if (!p_.bias || run.isExtra) return;
    const int64_t last = p_.keyOffsets[run.sequence + 1] - p_.keyOffsets[run.sequence] - 1;
    for (int64_t j = 0; j < run.length; j++) {
      const int64_t place =
          std::clamp<int64_t>(run.begin + j - last + p_.biasOrigin, 0, p_.biasIndexLength - 1);
      line[j] += p_.bias[head * p_.biasColumns + p_.biasIndex[place]];
    }
  }

  const AttentionProblem& p_;
  std::vector<Run> runs_;
  int64_t parts_;
  float* found_;
};

}  // namespace

bool hasSingleQueries(const AttentionProblem& p) {
  if (p.rate > 0) return false;
  for (int64_t b = 0; b < p.sequences; b++) {
    const int64_t keys = p.keyOffsets[b + 1] - p.keyOffsets[b] + p.extra;
    if (p.queryOffsets[b + 1] - p.queryOffsets[b] > 1 || keys == 0) return false;
  }
  return true;
}

void singleQueryAttention(const AttentionProblem& p, float* y, float* logSumExp) {
  const SingleQueries work(p);
  parallel(work.tasks(), [&](int64_t task) { work.find(task); });
  work.join(y, logSumExp);
}

}  // namespace peft
