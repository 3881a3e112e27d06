/** `--method` and `--option`: the methods of `@peft/methods`, and those of plug-ins, by name. */
import type { MethodSpec } from '@peft/core';
import { check } from '@peft/errors';
import { methodNamed as methodOf } from '@peft/methods';
import { usesAutogluonLayers, type TaskName } from '@peft/predictor';
import { PAPER_QUANTIZATION } from '@peft/qlora';
import type { Plugins } from './plugins.js';

/**
 * Settings that belong to a method: QLoRA's base in 4 bits, `--option quantization=fp4` for another
 * format.
 * @throws PEFT_CONFIG_INVALID for no such format
 */
export function methodSettings(
  name: string | undefined,
  options: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  if (name !== 'qlora') return {};
  const { quantization = PAPER_QUANTIZATION.format } = options;
  check.oneOf('qlora', 'quantization', quantization, ['nf4', 'fp4', 'int8']);
  return { 'model.hf_text.quantization': quantization };
}

/**
 * The spec of a method by name: `ia3_bias`, `lora`, `houlsby`, a plug-in's. Options go to the
 * method's own parser.
 * @param task language models and embeddings take the methods' own layers, where AutoGluon's are
 *   for encoders.
 * @throws PEFT_METHOD_UNKNOWN with the nearest name
 */
export const methodNamed = (
  name: string,
  options: Readonly<Record<string, unknown>>,
  { methods }: Plugins,
  task?: TaskName,
): MethodSpec =>
  methodOf(name, options, {
    plugins: methods,
    layers: usesAutogluonLayers(task) ? 'autogluon' : 'own',
  });
