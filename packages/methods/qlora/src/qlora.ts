/**
 * QLoRA (Dettmers et al. 2023): y = dequantise(Q)·x + s·B·A·x. LoRA as it is, on a base whose
 * linear weights were rounded to 4 bits; only A and B train. The products read the packed bytes;
 * norms, embeddings and the head keep their precision.
 *
 * Differs from the paper in that optimiser pages are the optimiser's matter (`pagedStateStore` of
 * @peft/optim), not the method's.
 */
import type { CommonConfig, LoadWeightsOptions, MethodSpec, WeightQuantization } from '@peft/core';
import { check } from '@peft/errors';
import { lora, type LoraConfig } from '@peft/lora';
import { checkBlockSize } from '@peft/ops';

/** Options of LoRA, and how the base is quantised. */
export interface QloraOptions extends Partial<LoraConfig>, CommonConfig {
  /** Default: NF4 in blocks of 64 with quantised block maxima, 4.127 bits a weight. */
  readonly quantization?: Partial<WeightQuantization>;
}

/** What a model is loaded with, and what is put on it. */
export interface Qlora {
  readonly method: MethodSpec<'linear' | 'embedding'>;
  /** For `loadModel`. */
  readonly load: Required<Pick<LoadWeightsOptions, 'quantization'>>;
}

/** The paper's: NormalFloat in blocks of 64, block maxima in 8 bits. */
export const PAPER_QUANTIZATION: WeightQuantization = Object.freeze({
  format: 'nf4',
  blockSize: 64,
  doubleQuantization: true,
});

/**
 * LoRA's options and how its base is stored. Without `targets` LoRA goes on every linear map but
 * the head: with fewer QLoRA does not reach full precision (the paper's section 4).
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 * @example
 * const { method, load } = qlora({ rank: 16, alpha: 32 });
 * const model = loadModel(llama, config, store, engine, { head: { kind: 'causal-lm' }, ...load });
 * model.addAdapter('default', method);
 */
export function qlora({ quantization = {}, ...options }: QloraOptions = {}): Qlora {
  return Object.freeze({
    method: lora({ targets: 'all-linear', ...options }),
    load: quantizedBase(quantization),
  });
}

/**
 * Options of `loadModel` that quantise a base for whatever method comes on it: `loadModel(…, {
 * ...quantizedBase({ format: 'int8' }) })`.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export function quantizedBase(quantization: Partial<WeightQuantization> = {}): Qlora['load'] {
  check.knownKeys('quantization', quantization, [
    'format',
    'blockSize',
    'doubleQuantization',
    'skipModules',
  ]);
  const { format = PAPER_QUANTIZATION.format, skipModules = [] } = quantization;
  check.oneOf('quantization', 'format', format, ['nf4', 'fp4', 'int8']);
  for (const module of skipModules) check.string('quantization', 'skipModules', module);
  if (format === 'int8') {
    check.knownKeys('quantization of int8, which has one maximum a row', quantization, [
      'format',
      'skipModules',
    ]);
    return Object.freeze({ quantization: Object.freeze({ format, skipModules }) });
  }
  const {
    blockSize = PAPER_QUANTIZATION.blockSize!,
    doubleQuantization = PAPER_QUANTIZATION.doubleQuantization!,
  } = quantization;
  checkBlockSize(blockSize);
  check.boolean('quantization', 'doubleQuantization', doubleQuantization);
  return Object.freeze({
    quantization: Object.freeze({ format, blockSize, doubleQuantization, skipModules }),
  });
}
