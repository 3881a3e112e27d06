/**
 * LoRA+ (Hayou et al. 2024, arXiv 2402.12354): the matrices B of LoRA, which begin at 0, learn with a
 * rate that is λ times that of the matrices A, since at one rate for both wide models hardly move A's
 * features. Biases of LoRA's own (`lora_B.bias`) go with B.
 */
import type { OwnedParameter } from '@peft/core';
import { check } from '@peft/errors';
import type { ParameterGroup } from '@peft/optim';

/** Whether a parameter is LoRA's B at its site. */
export const isLoraUp = ({ name, site }: Pick<OwnedParameter, 'name' | 'site'>): boolean =>
  site !== undefined &&
  (name === `${site.path}.lora_B.weight` || name === `${site.path}.lora_B.bias`);

/**
 * A `group` for {@link train}: that of `group`, with λ times its rate for B.
 * @param ratio λ, above 0; the paper's is 16.
 * @throws PEFT_CONFIG_INVALID
 */
export function loraPlus(
  group: (parameter: OwnedParameter) => ParameterGroup,
  ratio: number,
): (parameter: OwnedParameter) => ParameterGroup {
  check.positive('loraPlus', 'ratio', ratio);
  return (parameter) => {
    const own = group(parameter);
    return isLoraUp(parameter) ? { ...own, learningRateScale: own.learningRateScale * ratio } : own;
  };
}
