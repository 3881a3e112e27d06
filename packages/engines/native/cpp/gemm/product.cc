#include "product.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "../core/arena.h"
#include "../core/dispatch.h"
#include "../core/thread-pool.h"

namespace peft {
namespace {

constexpr int64_t kSharedBytes = int64_t{8} << 20;  // of the operand packed whole, at a time
constexpr int64_t kPrivateRows = 112;               // of S that a task packs itself
constexpr int64_t kPrivateColumns = 256;            // of V
constexpr int64_t kSharedColumns = 1024;            // and of the other operand that it takes
constexpr int64_t kSharedRows = 512;
constexpr int64_t kReadColumns = 2 * 32;  // of V, up to which S may be read where it is stored
constexpr int64_t kDecodedRows = 32;      // of a quantised S that a task packs then,
constexpr int64_t kDecodedPasses = 4;     // each over so many passes at a time
constexpr int64_t kWorkWorthSharing = 1 << 18;  // multiply-adds
static_assert(kMostAddedDepth <= kPassWords);

int64_t ceilDivide(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

/** Cuts `total` into `count` blocks of nearly equal numbers of units, the larger ones first
 * (threads take them in order). */
struct Blocks {
  Blocks(int64_t total, int64_t target, int64_t unit, int64_t multiple = 1)
      : unit_(unit), total_(total), units_(ceilDivide(total, unit)) {
    count = ceilDivide(units_, std::max<int64_t>(target / unit, 1));
    count = std::min(ceilDivide(count, multiple) * multiple, units_);
    size = ceilDivide(units_, count) * unit;
  }
  int64_t begin(int64_t i) const {
    return (units_ / count * i + std::min(i, units_ % count)) * unit_;
  }
  int64_t length(int64_t i) const { return std::min(total_, begin(i + 1)) - begin(i); }

  int64_t count;
  int64_t size;  // of the largest

 private:
  int64_t unit_, total_, units_;
};

struct Runner {
  const Product& p;
  const ProductKernels& k;
  bool here;
  const Passes passes;

  Runner(const Product& product, bool sequential)
      : p(product),
        k(product.bf16 ? kernels().bf16 : kernels().f32),
        here(sequential || product.rows * product.columns * product.depth < kWorkWorthSharing),
        passes(product.depth, k.elementsPerWord) {}

  /** All of `pack`, then all of `compute`; one launch, in which tiles wait for the last packing. */
  template <class Pack, class Compute>
  void phases(int64_t packs, Pack&& pack, int64_t tasks, Compute&& compute) const {
    if (here) {
      for (int64_t i = 0; i < packs; i++) pack(i);
      for (int64_t i = 0; i < tasks; i++) compute(i);
      return;
    }
    std::atomic<int64_t> packed{0};
    parallel(packs + tasks, [&](int64_t task) {
      if (task < packs) {
        pack(task);
        packed.fetch_add(1, std::memory_order_release);
        return;
      }
      for (int spins = 0; packed.load(std::memory_order_acquire) < packs; spins++)
        if (spins > 1000) std::this_thread::yield();
      compute(task - packs);
    });
  }

  int64_t depthOf(int64_t pass) const { return passes.depthEnd(pass) - passes.depthBegin(pass); }

  void packS(int64_t row, int64_t rows, int64_t pass, uint32_t* packed, uint32_t* spare) const {
    const int64_t k0 = passes.depthBegin(pass);
    if (p.sTransposed)
      k.packS(p.s, true, row, rows, p.sRow + k0, depthOf(pass), packed, spare);
    else
      k.packS(p.s, false, p.sRow + row, rows, k0, depthOf(pass), packed, spare);
  }
  /** Several passes: [pass][rows][kStrideWords], row by row. */
  void packPasses(int64_t row, int64_t rows, int64_t from, int64_t to, uint32_t* packed,
                  uint32_t* spare) const {
    if (to - from == 1) return packS(row, rows, from, packed, spare);
    for (int64_t r = 0; r < rows; r++)
      for (int64_t pass = from; pass < to; pass++)
        packS(row + r, 1, pass, packed + ((pass - from) * rows + r) * kStrideWords, spare);
  }
  void packV(int64_t column, int64_t columns, int64_t pass, uint32_t* packed,
             uint32_t* spare) const {
    const int64_t k0 = passes.depthBegin(pass);
    if (p.vTransposed)
      k.packV(p.v, true, p.vRow + column, columns, k0, depthOf(pass), packed, spare);
    else
      k.packV(p.v, false, column, columns, p.vRow + k0, depthOf(pass), packed, spare);
  }

  /** Blocks of the operand that tasks pack: a few for each thread where the work allows. */
  Blocks privateBlocks(int64_t total, int64_t most, int64_t sharedBlocks, int64_t unit) const {
    if (here) return Blocks(total, most, unit);
    const int64_t wanted = ceilDivide(int64_t{4} * threadCount(), sharedBlocks);
    return Blocks(total, std::min(most, total / wanted), unit,
                  sharedBlocks % threadCount() == 0 ? 1 : threadCount());
  }

  /** Whether rows of S are read where they are stored: for so few columns packing does not pay. */
  bool readsStored() const {
    return k.multiplyStored && !p.sTransposed && p.s.format == Format::bf16 &&
           p.columns <= kReadColumns;
  }

  /** How many passes of a row of S are packed one after the other. For few columns of V the reading
   * of a quantised S decides, which is fastest in the order of memory. */
  int64_t passesTogether() const {
    const bool quantized = p.s.format == Format::int8 || isFourBit(p.s.format);
    return quantized && !p.sTransposed && p.columns <= kReadColumns ? kDecodedPasses : 1;
  }

  /** V packed whole, S by the tasks. Layout of shared V: [pass][panel][words][tileColumns]. */
  void shareV() const {
    const int64_t width = k.tileColumns;
    const int64_t chunk =
        std::max(kSharedColumns, kSharedBytes / (passes.words * 4) / width * width);
    const bool isRead = readsStored();
    const int64_t together = passesTogether();
    for (int64_t chunk0 = 0; chunk0 < p.columns; chunk0 += chunk) {
      const int64_t columns = std::min(chunk, p.columns - chunk0);
      const int64_t padded = ceilDivide(columns, width) * width;
      const Blocks vBlocks(columns, kSharedColumns, width);
      const Blocks sBlocks = privateBlocks(p.rows, together > 1 ? kDecodedRows : kPrivateRows,
                                           vBlocks.count, k.blockRows);
      uint32_t* shared = scratch<uint32_t>(Scratch::kSharedV, padded * passes.words);
      auto panel = [&](int64_t pass, int64_t column) {
        return shared + pass * passes.length * padded + column * passes.wordsOf(pass);
      };
      const Blocks packBlocks(columns, width, width);
      auto pack = [&](int64_t task) {
        const int64_t pass = task / packBlocks.count, block = task % packBlocks.count,
                      column = packBlocks.begin(block);
        packV(chunk0 + column, packBlocks.length(block), pass, panel(pass, column),
              scratch<uint32_t>(Scratch::kDecode, packScratchWords(packBlocks.size)));
      };
      auto compute = [&](int64_t task) {
        const int64_t s = task % sBlocks.count, v = task / sBlocks.count;
        const int64_t row = sBlocks.begin(s), rows = sBlocks.length(s), column = vBlocks.begin(v);
        uint32_t* packed =
            scratch<uint32_t>(Scratch::kTaskS, together * sBlocks.size * kStrideWords);
        uint32_t* spare = scratch<uint32_t>(Scratch::kDecode, packScratchWords(sBlocks.size));
        const Target target(*this, sBlocks.size, row, rows, chunk0 + column, vBlocks.length(v),
                            sBlocks.size * vBlocks.size);
        for (int64_t from = 0; from < passes.count; from += together) {
          const int64_t to = std::min(from + together, passes.count);
          if (!isRead) packPasses(row, rows, from, to, packed, spare);
          for (int64_t pass = from; pass < to; pass++) {
            if (isRead)
              target.multiplyStored(pass, panel(pass, column));
            else
              target.multiply(passes.wordsOf(pass), packed + (pass - from) * rows * kStrideWords,
                              panel(pass, column), pass > 0);
          }
        }
        target.finish();
      };
      phases(passes.count * packBlocks.count, pack, sBlocks.count * vBlocks.count, compute);
    }
  }

  /** S packed whole, V by the tasks. Layout of shared S: [pass][rows][kStrideWords]. */
  void shareS() const {
    const int64_t width = k.tileColumns;
    const int64_t chunk = std::max(kSharedRows, kSharedBytes / (passes.count * kStrideWords * 4));
    for (int64_t chunk0 = 0; chunk0 < p.rows; chunk0 += chunk) {
      const int64_t rows = std::min(chunk, p.rows - chunk0);
      const Blocks sBlocks(rows, kSharedRows, k.blockRows);
      const Blocks vBlocks = privateBlocks(p.columns, kPrivateColumns, sBlocks.count,
                                           2 * width);  // whole blocks of 64 for 4-bit weights
      uint32_t* shared = scratch<uint32_t>(Scratch::kSharedS, passes.count * rows * kStrideWords);
      auto packedRow = [&](int64_t pass, int64_t row) {
        return shared + (pass * rows + row) * kStrideWords;
      };
      const Blocks packBlocks(rows, 64, 16);
      auto pack = [&](int64_t task) {
        const int64_t pass = task / packBlocks.count, block = task % packBlocks.count,
                      row = packBlocks.begin(block);
        packS(chunk0 + row, packBlocks.length(block), pass, packedRow(pass, row),
              scratch<uint32_t>(Scratch::kDecode, packScratchWords(packBlocks.size)));
      };
      auto compute = [&](int64_t task) {
        const int64_t v = task % vBlocks.count, s = task / vBlocks.count;
        const int64_t row = sBlocks.begin(s), column = vBlocks.begin(v),
                      columns = vBlocks.length(v);
        uint32_t* packed = scratch<uint32_t>(Scratch::kTaskV, vBlocks.size * passes.length);
        uint32_t* spare = scratch<uint32_t>(Scratch::kDecode, packScratchWords(vBlocks.size));
        const Target target(*this, sBlocks.size, chunk0 + row, sBlocks.length(s), column, columns,
                            sBlocks.size * vBlocks.size);
        for (int64_t pass = 0; pass < passes.count; pass++) {
          packV(column, columns, pass, packed, spare);
          target.multiply(passes.wordsOf(pass), packedRow(pass, row), packed, pass > 0);
        }
        target.finish();
      };
      phases(passes.count * packBlocks.count, pack, sBlocks.count * vBlocks.count, compute);
    }
  }

  /** Few rows of S, packed whole; V, whose rows lie along the depth, is read by the tasks and not
   * packed. */
  void fewRows() const {
    const int64_t width = k.tileColumns, rows = p.rows;
    const Blocks blocks = privateBlocks(p.columns, kPrivateColumns, 1, 2 * width);
    uint32_t* shared = scratch<uint32_t>(Scratch::kSharedS, passes.count * rows * kStrideWords);
    auto pack = [&](int64_t pass) {
      packS(0, rows, pass, shared + pass * rows * kStrideWords,
            scratch<uint32_t>(Scratch::kDecode, packScratchWords(rows)));
    };
    auto compute = [&](int64_t block) {
      const int64_t column = blocks.begin(block), columns = blocks.length(block);
      float* sums = scratch<float>(Scratch::kTile, rows * blocks.size);
      k.multiplyFew(p.v, p.vRow + column, columns, passes, rows, shared, sums, rows,
                    scratch<uint32_t>(Scratch::kDecode, packScratchWords(2 * width)));
      finish(sums, rows, 0, rows, column, columns);
    };
    phases(passes.count, pack, blocks.count, compute);
  }

  /** Where the sums of a block of S and V go: into `out` as it is where nothing is to be done to
   * them, else into scratch first. */
  struct Target {
    const Runner& r;
    int64_t sumRows, row, rows, column, columns;
    bool direct;
    float* sums;

    Target(const Runner& runner, int64_t rowsOfSums, int64_t row0, int64_t rowCount,
           int64_t column0, int64_t columnCount, int64_t room)
        : r(runner),
          sumRows(rowsOfSums),
          row(row0),
          rows(rowCount),
          column(column0),
          columns(columnCount) {
      direct = !r.p.outTransposed && !r.p.bias && !r.p.accumulate && !r.p.addition &&
               !r.p.epilogue && columns % r.k.tileColumns == 0;
      sums = direct ? r.p.out + row * r.p.outStride + column : scratch<float>(Scratch::kTile, room);
    }

    void multiply(int64_t words, const uint32_t* s, const uint32_t* v, bool accumulate) const {
      if (direct)
        r.k.multiplyInto(rows, columns, words, s, v, sums, r.p.outStride, accumulate);
      else
        r.k.multiply(rows, columns, words, s, v, sums, sumRows, accumulate);
    }

    void multiplyStored(int64_t pass, const uint32_t* v) const {
      const int64_t k0 = r.passes.depthBegin(pass);
      r.k.multiplyStored(r.p.s, r.p.sRow + row, rows, k0, r.depthOf(pass), columns, v, sums,
                         direct ? 0 : sumRows, r.p.outStride, pass > 0);
    }

    void finish() const {
      if (!direct) r.finish(sums, sumRows, row, rows, column, columns);
    }
  };

  /** Adds the bias and then the further product to the sums of a block. */
  void add(float* sums, int64_t sumRows, int64_t row, int64_t rows, int64_t column,
           int64_t columns) const {
    const ProductKernels& f32 = kernels().f32;
    const Addition& added = *p.addition;
    const int64_t width = k.tileColumns, padded = ceilDivide(columns, width) * width;
    if (p.bias)
      for (int64_t c = 0; c < columns; c += width)
        for (int64_t r = 0; r < rows; r++) {
          float* line = sums + c * sumRows + r * width;
          const int64_t lanes = std::min(width, columns - c);
          const float* bias = p.bias + (p.outTransposed ? row + r : column + c);
          if (p.outTransposed)
            for (int64_t i = 0; i < lanes; i++) line[i] += *bias;
          else
            for (int64_t i = 0; i < lanes; i++) line[i] += bias[i];
        }
    uint32_t* spare =
        scratch<uint32_t>(Scratch::kDecode, packScratchWords(std::max(rows, columns)));
    uint32_t* s = scratch<uint32_t>(Scratch::kAddedS, rows * kStrideWords);
    uint32_t* v = scratch<uint32_t>(Scratch::kAddedV, padded * added.depth);
    f32.packS(added.s, added.sTransposed, row, rows, 0, added.depth, s, spare);
    f32.packV(added.v, added.vTransposed, column, columns, 0, added.depth, v, spare);
    f32.multiply(rows, columns, added.depth, s, v, sums, sumRows, true);
  }

  void finish(float* sums, int64_t sumRows, int64_t row, int64_t rows, int64_t column,
              int64_t columns) const {
    const float* bias = p.addition ? nullptr : p.bias;
    if (p.addition) add(sums, sumRows, row, rows, column, columns);
    const int64_t begin = p.outTransposed ? column * p.outStride + row : row * p.outStride + column;
    float* out = (p.epilogue && p.epilogue->sums ? p.epilogue->sums : p.out) + begin;
    if (p.outTransposed)
      k.storeTransposed(sums, sumRows, rows, columns, out, p.outStride, bias ? bias + row : nullptr,
                        p.accumulate);
    else
      k.store(sums, sumRows, rows, columns, out, p.outStride, bias ? bias + column : nullptr,
              p.accumulate);
    if (p.epilogue)
      activate(out, p.out + begin, p.outTransposed ? columns : rows,
               p.outTransposed ? rows : columns);
  }

  void activate(const float* from, float* to, int64_t rows, int64_t columns) const {
    for (int64_t r = 0; r < rows; r++)
      kernels().activationRun(p.epilogue->kind, from + r * p.outStride, to + r * p.outStride,
                              columns);
  }

  /** depth 0: the bias alone. */
  void biasOnly() const {
    float* sums = p.epilogue && p.epilogue->sums ? p.epilogue->sums : p.out;
    for (int64_t s = 0; s < p.rows; s++)
      for (int64_t v = 0; v < p.columns; v++) {
        float& out = sums[p.outTransposed ? v * p.outStride + s : s * p.outStride + v];
        out = (p.accumulate ? out : 0.0f) + (p.bias ? p.bias[p.outTransposed ? s : v] : 0.0f);
      }
    if (p.epilogue)
      activate(sums, p.out, p.outTransposed ? p.columns : p.rows,
               p.outTransposed ? p.rows : p.columns);
  }

  void run() const {
    if (p.rows == 0 || p.columns == 0) return;
    if (p.depth == 0)
      biasOnly();
    else if (p.shareS && p.vTransposed && p.rows <= k.fewRows)
      fewRows();
    else if (p.shareS)
      shareS();
    else
      shareV();
  }
};

}  // namespace

int64_t fewRows(bool bf16) {
  return (bf16 ? kernels().bf16 : kernels().f32).fewRows;
}

void multiply(const Product& product) {
  Runner(product, false).run();
}

void multiplyHere(const Product& product) {
  Runner(product, true).run();
}

}  // namespace peft
