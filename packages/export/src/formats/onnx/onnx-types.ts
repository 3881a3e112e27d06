/** Types of weights, as transformers.js calls them. */
import type { FloatType } from './graph/onnx-graph.js';
import { blockWeights } from './weights/block-weights.js';
import { plainWeights, type WeightForm } from './weights/weight-form.js';

interface TypeForm {
  /** Behind `model` in the file's name. */
  readonly suffix: string;
  /** Of what the graph computes with. */
  readonly floatType: FloatType;
  readonly weights: WeightForm;
}

export const ONNX_TYPES = Object.freeze({
  fp32: { suffix: '', floatType: 'float32', weights: plainWeights },
  fp16: { suffix: '_fp16', floatType: 'float16', weights: plainWeights },
  q8: { suffix: '_quantized', floatType: 'float32', weights: blockWeights(8) },
  q4: { suffix: '_q4', floatType: 'float32', weights: blockWeights(4) },
  q4f16: { suffix: '_q4f16', floatType: 'float16', weights: blockWeights(4) },
} as const satisfies Readonly<Record<string, TypeForm>>);
export type OnnxType = keyof typeof ONNX_TYPES;
