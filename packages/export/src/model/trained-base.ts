import type { TrainedModel } from '@peft/predictor';

/** That an adapter was merged into other values than those of the base's file, and why. */
export function trainedBaseWarnings({ model, method }: TrainedModel): readonly string[] {
  const held = model.weights.quantization;
  if (!held) return [];
  return [
    `merged into the base as it was in training, in ${held.format}, whose rounding the weights carry: ` +
      `${method} has fixed parts that are computed from the base's values, and beside the untouched ` +
      'ones it would answer otherwise.',
  ];
}
