/**
 * The seam of the ways in which checkpoints store quantised weights: a form reads its settings from
 * `quantization_config` and says what the stored tensors stand for.
 */
import type { QuantizedParts, TensorSource, WeightFormat } from '@peft/ops';
import type { FormSettings } from './form-settings.js';

export interface QuantizedForm {
  /** `quant_method` of `quantization_config`. */
  readonly method: string;
  /** Whether settings without a `quant_method` are this form's. */
  isUnnamed?(settings: FormSettings): boolean;
  /**
   * @throws PEFT_QUANTIZATION_CONFIG for settings that make no sense; PEFT_QUANTIZATION_METHOD for
   *   a variant that is not read
   */
  read(settings: FormSettings): FormReader;
}

/** Reads the weights of one checkpoint. */
export interface FormReader {
  readonly inMemory: StoredForm;
  /**
   * The weight that a stored tensor is the main part of: the name itself for what is stored plainly,
   * `undefined` for scales and other parts.
   */
  weightName(stored: string): string | undefined;
  /**
   * The weight of that name; `undefined` where it is stored plainly or not at all.
   * @throws PEFT_QUANTIZED_PARTS for parts that are missing or do not fit together
   */
  weight(tensors: StoredTensors, name: string): QuantizedWeight | undefined;
}

/** What the linear maps of a quantised checkpoint are in memory. */
export interface StoredForm {
  /** `bf16`: two bytes a value, whichever 16-bit type they are decoded to. */
  readonly format: Exclude<WeightFormat, 'f32' | 'f16'>;
  /** Values that share a scale, of the 4-bit formats. */
  readonly blockSize?: number;
  /** The block maxima are quantised, too. */
  readonly doubleQuantization: boolean;
  /** Modules that were left as they are; empty when the config names none. */
  readonly skipModules: readonly string[];
}

export interface StoredTensors {
  names(): Iterable<string>;
  get(name: string): TensorSource | undefined;
}

export interface QuantizedWeight {
  /** Its values in the shape that a plain checkpoint has, decoded as they are read. */
  readonly dense: TensorSource;
  /** For engines that hold it as it is packed. */
  readonly packed?: QuantizedSource | undefined;
  /** The same of entry `index` of its first axis: one expert of all. */
  packedEntry?(index: number): QuantizedSource | undefined;
}

/** A weight that is stored quantised, checked but for its values, which are not yet read. */
export interface QuantizedSource {
  readonly name: string;
  readonly format: QuantizedParts['format'];
  /** `[out, in]` */
  readonly shape: readonly [number, number];
  /** Of all its parts together. */
  readonly byteLength: number;
  /** @throws PEFT_QUANTIZED_PARTS when a value makes no sense. */
  read(): QuantizedParts;
}
