// Fills the table of the set of instructions that PEFT_ISA names.
#pragma once
#include "../core/kernel-table.h"
#include "../vector/activations.h"
#include "../vector/adamw.h"
#include "../vector/attention-rows.h"
#include "../vector/k-blocks.h"
#include "../vector/norms.h"
#include "../vector/quantize.h"
#include "../vector/rope.h"
#include "../vector/softmax.h"
#include "product-table.h"

namespace peft::PEFT_ISA {

inline KernelTable makeTable() {
  KernelTable t{};
  t.f32 = productKernels<FloatWords, FloatDot>();
  t.bf16 = t.f32;
  t.hasBf16 = false;
  t.decodeFloat = decodeRun<FloatSink>;
  t.transposeWords = transposeWords;
  t.quantizeFourBit = quantizeFourBit;
  t.quantizeRowInt8 = quantizeRowInt8;
  t.encodeBfloat = encodeBfloat;
  t.encodeHalf = encodeHalf;
  t.quantizeOffsetBlocks = quantizeOffsetBlocks;
  t.quantizeSignedBlocks = quantizeSignedBlocks;
  t.layerNormRows = layerNormRows;
  t.layerNormGradientRows = layerNormGradientRows;
  t.rmsNormRows = rmsNormRows;
  t.rmsNormGradientRows = rmsNormGradientRows;
  t.activationRun = activationRun;
  t.activationGradientRun = activationGradientRun;
  t.gatedRun = gatedRun;
  t.gatedGradientRun = gatedGradientRun;
  t.binaryRun = binaryRun;
  t.unaryRun = unaryRun;
  t.clipRun = clipRun;
  t.fillRun = fillRun;
  t.addRun = addRun;
  t.multiplyAddRun = multiplyAddRun;
  t.dot = dot;
  t.reduceRun = reduceRun;
  t.dropoutRun = dropoutRun;
  t.softmaxRow = softmaxRow;
  t.softmaxGradientRow = softmaxGradientRow;
  t.logSumExpRow = logSumExpRow;
  t.probabilityRow = probabilityRow;
  t.attention = {attentionForward, attentionBackward, attentionDelta, scaleSumRows};
  t.ropeRow = ropeRow;
  t.ropePairs = ropePairs;
  t.adamWRun = adamWRun;
  return t;
}

}  // namespace peft::PEFT_ISA
