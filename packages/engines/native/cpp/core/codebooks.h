// The values of the 4-bit codes, code order.
#pragma once
#include "matrix-view.h"

namespace peft {

/** Dettmers et al. 2023, appendix E: quantiles of the normal distribution, zero exact. */
alignas(64) static const float kNf4Values[16] = {-1.0f,
                                                 -0.6961928009986877f,
                                                 -0.5250730514526367f,
                                                 -0.39491748809814453f,
                                                 -0.28444138169288635f,
                                                 -0.18477343022823334f,
                                                 -0.09105003625154495f,
                                                 0.0f,
                                                 0.07958029955625534f,
                                                 0.16093020141124725f,
                                                 0.24611230194568634f,
                                                 0.33791524171829224f,
                                                 0.44070982933044434f,
                                                 0.5626170039176941f,
                                                 0.7229568362236023f,
                                                 1.0f};

/** A sign bit and a 3-bit magnitude of {0, 0.0625, 8, 12, 4, 6, 2, 3}/12. */
alignas(64) static const float kFp4Values[16] = {
    0.0f,          0.0625f / 12.0f, 8.0f / 12.0f,  12.0f / 12.0f,    4.0f / 12.0f,  6.0f / 12.0f,
    2.0f / 12.0f,  3.0f / 12.0f,    -0.0f,         -0.0625f / 12.0f, -8.0f / 12.0f, -12.0f / 12.0f,
    -4.0f / 12.0f, -6.0f / 12.0f,   -2.0f / 12.0f, -3.0f / 12.0f};

/** Codes stand for themselves, less the zero point of their block. */
alignas(64) static const
    float kInt4Values[16] = {0.0f, 1.0f, 2.0f,  3.0f,  4.0f,  5.0f,  6.0f,  7.0f,
                             8.0f, 9.0f, 10.0f, 11.0f, 12.0f, 13.0f, 14.0f, 15.0f};

/** e2m1: a sign, two exponent bits and one fraction bit (OCP Microscaling formats 1.0). */
alignas(64) static const
    float kMxfp4Values[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                              -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

static inline const float* fourBitValues(Format format) {
  switch (format) {
    case Format::fp4:
      return kFp4Values;
    case Format::int4:
      return kInt4Values;
    case Format::mxfp4:
      return kMxfp4Values;
    default:
      return kNf4Values;
  }
}

}  // namespace peft
