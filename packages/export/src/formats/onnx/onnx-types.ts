/** Types of weights, as transformers.js calls them. */
import type { FloatType } from './graph/onnx-graph.js';
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
} as const satisfies Readonly<Record<string, TypeForm>>);
export type OnnxType = keyof typeof ONNX_TYPES;
