/**
 * The activation that a Hugging Face config names (`hidden_act`, `activation_function`,
 * adapter-hub's `non_linearity`).
 */
import { didYouMean, PeftError, show } from '@peft/errors';
import type { ActivationName } from '../tape/kernels.js';

const NAMES: Readonly<Record<string, ActivationName>> = Object.freeze({
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  gelu_python_tanh: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_accurate: 'gelu_tanh',
  gelu_tanh: 'gelu_tanh',
  quick_gelu: 'gelu_quick',
  gelu_quick: 'gelu_quick',
  relu: 'relu',
  relu2: 'relu_squared',
  relu_squared: 'relu_squared',
  silu: 'silu',
  swish: 'silu',
  tanh: 'tanh',
  sigmoid: 'sigmoid',
  leaky_relu: 'leaky_relu',
  leakyrelu: 'leaky_relu',
});

/**
 * @param name as Hugging Face's configs spell it, upper or lower case: `gelu`, `gelu_new`,
 *   `quick_gelu`, `swish`, `relu2` …
 * @throws PEFT_ACTIVATION_UNKNOWN with the nearest known names.
 */
export function activationNamed(name: string): ActivationName {
  const key = typeof name === 'string' ? name.toLowerCase() : '';
  if (Object.hasOwn(NAMES, key)) return NAMES[key]!;
  throw new PeftError(
    'PEFT_ACTIVATION_UNKNOWN',
    `activation: ${show(name)} is not a known activation function.`,
    {
      hint: `${didYouMean(key, Object.keys(NAMES))} Known: ${Object.keys(NAMES).join(', ')}`.trim(),
    },
  );
}
