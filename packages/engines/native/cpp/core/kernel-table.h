// The functions that exist once for each set of instructions. What each computes is said where it
// is defined, in vector/.
#pragma once
#include "adamw-step.h"
#include "attention-tile.h"
#include "operation-codes.h"
#include "product-kernels.h"

namespace peft {

struct KernelTable {
  ProductKernels f32;
  ProductKernels bf16;  // f32 again where the processor has no bf16 instructions
  bool hasBf16;

  // stored formats: decode.h, quantize.h, transpose.h
  /** out[i] = element (row, column + i) of a stored matrix. */
  void (*decodeFloat)(const MatrixView& view, int64_t row, int64_t column, int64_t count,
                      float* out);
  void (*transposeWords)(const uint32_t* from, int64_t fromStride, int64_t rows, int64_t columns,
                         uint32_t* to, int64_t toStride);
  void (*quantizeFourBit)(const float* values, int64_t count, int64_t blockSize, bool fp4,
                          float* maxima, uint8_t* packed);
  float (*quantizeRowInt8)(float* values, int64_t count, int8_t* codes);
  void (*encodeBfloat)(const float* x, int64_t count, uint16_t* out);
  void (*encodeHalf)(const float* x, int64_t count, uint16_t* out);

  // k-blocks.h
  void (*quantizeOffsetBlocks)(const float* values, int64_t blocks, bool fiveBits, uint8_t* out);
  void (*quantizeSignedBlocks)(const float* values, int64_t blocks, uint8_t* out);

  // norms.h
  void (*layerNormRows)(const float* x, const float* gamma, const float* beta, float* y,
                        float* mean, float* inverse, int64_t rows, int64_t d, float epsilon);
  void (*layerNormGradientRows)(const float* x, const float* gamma, const float* mean,
                                const float* inverse, const float* dy, float* dx, float* dgamma,
                                float* dbeta, int64_t rows, int64_t d);
  void (*rmsNormRows)(const float* x, const float* gamma, float* y, float* inverse, int64_t rows,
                      int64_t d, float epsilon, float offset);
  void (*rmsNormGradientRows)(const float* x, const float* gamma, const float* inverse,
                              const float* dy, float* dx, float* dgamma, int64_t rows, int64_t d,
                              float offset);

  // activations.h
  void (*activationRun)(Activation kind, const float* x, float* y, int64_t n);
  void (*activationGradientRun)(Activation kind, const float* x, const float* dy, float* dx,
                                int64_t n);
  void (*gatedRun)(Activation kind, const float* gate, const float* up, float* y, int64_t n);
  void (*gatedGradientRun)(Activation kind, const float* gate, const float* up, const float* dy,
                           float* dgate, float* dup, int64_t n);

  // elementwise.h
  void (*binaryRun)(Binary operation, const float* a, bool constantA, const float* b,
                    bool constantB, float* y, int64_t n);
  void (*unaryRun)(Unary operation, const float* x, float* y, int64_t n);
  void (*clipRun)(const float* x, float* y, int64_t n, float minimum, float maximum);
  void (*fillRun)(float* y, int64_t n, float value);
  void (*addRun)(const float* x, float* y, int64_t n);
  void (*multiplyAddRun)(const float* a, const float* b, float* y, int64_t n);
  float (*dot)(const float* a, const float* b, int64_t n);
  float (*reduceRun)(Reduction operation, const float* x, int64_t n);
  void (*dropoutRun)(const float* x, float* y, uint32_t first, int64_t n, float rate, float kept,
                     uint32_t key0, uint32_t key1);

  // softmax.h
  void (*softmaxRow)(const float* x, float* y, int64_t n, bool logarithmic);
  void (*softmaxGradientRow)(const float* y, const float* dy, float* dx, int64_t n,
                             bool logarithmic);
  float (*logSumExpRow)(const float* x, int64_t n);
  void (*probabilityRow)(const float* x, float logSumExp, float factor, float* y, int64_t n);

  AttentionKernels attention;  // attention-rows.h

  // rope.h, adamw.h
  void (*ropeRow)(const float* x, const float* cos, const float* sin, float* y, int64_t heads,
                  int64_t size, int64_t half, float direction);
  void (*ropePairs)(const float* x, const float* cos, const float* sin, float* y, int64_t heads,
                    int64_t size, int64_t half, float direction);
  void (*adamWRun)(const AdamWStep& step, float* p, const float* gradient, float* m, float* v,
                   int64_t n);
};

}  // namespace peft
