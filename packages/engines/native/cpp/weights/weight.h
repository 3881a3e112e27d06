// A base weight that does not train: its bytes, where they came from, and what they mean.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../core/matrix-view.h"
#include "../gemm/product.h"
#include "block-types.h"
#include "mapped-file.h"

namespace peft {

/** Logical shape [rows, columns]; stored [columns, rows] when `transposed`. */
struct WeightShape {
  int64_t rows, columns;
  bool transposed;

  int64_t storedRows() const { return transposed ? columns : rows; }
  int64_t storedColumns() const { return transposed ? rows : columns; }
  int64_t elements() const { return rows * columns; }
};

struct Weight {
  WeightShape shape{};
  Format format = Format::f32;
  int64_t blockSize = 0;  // of 4 bits
  std::unique_ptr<MappedFile> file;
  std::shared_ptr<uint8_t> bytes;  // when not mapped; 64-byte aligned
  std::vector<float> maxima;       // or scales of blocks (4 bits without codes) or rows (int8)
  std::vector<uint8_t> codes;      // double quantisation: 8-bit maxima
  std::vector<float> map;          // [256]
  std::vector<float> nested;
  int64_t nestedBlockSize = 0;
  float offset = 0;
  std::vector<uint8_t> zeros;  // of int4's blocks

  /** Rows and columns as stored. */
  MatrixView view() const;
  int64_t byteLength() const;
  /** Bytes of `data` alone. */
  int64_t dataBytes() const;
  const uint8_t* data() const { return file ? file->data() : bytes.get(); }
};

/** Bytes that `elements` take. */
int64_t storedBytes(Format format, int64_t elements);

/** Uninitialised, 64-byte aligned. */
std::shared_ptr<uint8_t> allocateBytes(int64_t count);

std::unique_ptr<Weight> weightFromFile(const std::string& path, int64_t offset, Format format,
                                       WeightShape shape);
std::unique_ptr<Weight> weightFromBytes(const uint8_t* bytes, Format format, WeightShape shape);
/** In float32: `bytes` are whole blocks, rows behind each other as they are stored. */
std::unique_ptr<Weight> weightFromBlocks(const uint8_t* bytes, BlockType type, WeightShape shape);
std::unique_ptr<Weight> convertWeight(const Weight& source, Format format, int64_t blockSize,
                                      bool doubleQuantization);

/** out [rows, columns], logical. */
void dequantizeWeight(const Weight& weight, float* out);
/** out[i] = row ids[i]; ids are inside. */
void gatherWeight(const Weight& weight, const int32_t* ids, int64_t count, float* out);
/** rows [n, depth]·wideᵀ, wide [width, depth], or [depth, width] where `transposed`; float32. */
struct Summand {
  const float* rows;
  const float* wide;
  int64_t depth, width;
  bool transposed;
};
/** y [n, rows] = x [n, columns]·Wᵀ + bias (+ the summand), or what the epilogue makes of it. */
void weightForward(const Weight& weight, const float* x, const float* bias, float* y, int64_t n,
                   bool bf16, const Epilogue* epilogue = nullptr, const Summand* summand = nullptr);
/** dx [n, columns] = dy [n, rows]·W (+ the summand). */
void weightBackward(const Weight& weight, const float* dy, float* dx, int64_t n, bool bf16,
                    const Summand* summand = nullptr);

/** What an adapter adds to a weight's products: scale·x·Aᵀ·Bᵀ. */
struct AddedProduct {
  const float* a;  // [rank, columns]
  const float* b;  // [rows, rank]
  int64_t rank;
  float scale;
};
/** y [n, rows] = x·Wᵀ + bias + narrow·Bᵀ with narrow [n, rank] = scale·x·Aᵀ, in float32. */
void weightForwardAdded(const Weight& weight, const AddedProduct& added, const float* x,
                        const float* bias, float* y, float* narrow, int64_t n, bool bf16);

/** Null where they are not wanted. */
struct AddedGradients {
  float* dx;  // [n, columns] = dy·W + scale·dy·B·A
  float* da;  // [rank, columns] = scale·(dy·B)ᵀ·x
  float* db;  // [rows, rank] = dyᵀ·narrow
};
void weightBackwardAdded(const Weight& weight, const AddedProduct& added, const float* dy,
                         const float* x, const float* narrow, const AddedGradients& gradients,
                         int64_t n, bool bf16);

/** y [n, count] = x·storedᵀ with stored rows [first, first+count). */
void storedRowsForward(const Weight& weight, int64_t first, int64_t count, const float* x, float* y,
                       int64_t n, bool bf16);
/** dx [n, stored columns] += dy [n, count]·stored. */
void addStoredRowsBackward(const Weight& weight, int64_t first, int64_t count, const float* dy,
                           float* dx, int64_t n, bool bf16);

/** Blocks of 256 of `maxima` minus their mean, as codes of the signed dynamic map. */
void quantizeMaxima(Weight& weight);

}  // namespace peft
