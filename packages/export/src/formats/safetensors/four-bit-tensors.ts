/**
 * Weights in 4 bits as bitsandbytes stores them: two codes a byte, the block maxima quantised once
 * more (double quantisation), and what they need to be read again beside them.
 */
import type { ParameterSpec } from '@peft/core';
import { bitsAndBytesConfigJson, quantizedTensors, type NewTensor } from '@peft/hub';
import { nestAbsmax, quantize4Bit, type QuantizedParts } from '@peft/ops';
import type { TrainedModel } from '@peft/predictor';
import type { WriteTools } from '../../format.js';
import { foldedValues } from '../../model/folded-values.js';

/** Values that share a scale. */
const BLOCK_SIZE = 64;

export const FOUR_BIT_TYPES = Object.freeze(['nf4', 'fp4'] as const);
type FourBitType = (typeof FOUR_BIT_TYPES)[number];

/** Of the codes; the maxima are 1/32 of them. */
export const fourBitBytes = ({ shape }: ParameterSpec): number =>
  Math.ceil(shape.reduce((product, size) => product * size, 1) / 2);

/** `quantization_config`, or nothing. @param torch type of the other weights, without `torch.` */
export const fourBitConfig = (
  format: FourBitType | undefined,
  torch: string,
): { readonly quantization_config?: Readonly<Record<string, unknown>> } =>
  format === undefined
    ? {}
    : {
        quantization_config: bitsAndBytesConfigJson(
          { format, doubleQuantization: true, skipModules: [] },
          torch === 'float16' ? 'float32' : torch,
        ),
      };

/**
 * One weight's tensors. Its block maxima are made at once, since their mean stands in a header; its
 * codes when their turn comes, from values that are folded again.
 */
export function fourBitTensors(
  { model }: TrainedModel,
  spec: ParameterSpec,
  { format, torch }: { readonly format: FourBitType; readonly torch: string },
  tools: WriteTools,
): NewTensor[] {
  const quantized = () => quantize4Bit(foldedValues(model, spec), format, BLOCK_SIZE);
  const parts: Omit<QuantizedParts, 'packed'> = {
    name: spec.name,
    format,
    shape: spec.shape,
    blockSize: BLOCK_SIZE,
    absmax: nestAbsmax(quantized().absmax),
  };
  const read = (): QuantizedParts => ({
    ...parts,
    get packed() {
      tools.tensor(spec.name, fourBitBytes(spec));
      return quantized().packed;
    },
  });
  return quantizedTensors(read(), torch, read);
}
