/** Activations and their derivatives in WGSL; the formulas are those of `activation.ts` in @peft/ops. */
import type { ActivationName } from '@peft/ops';
import { MATHS } from '../backend/functions.js';

/** f(x), f′(x) of x, by name. */
const FORMULAS: Readonly<Record<ActivationName, readonly [string, string]>> = {
  gelu: ['x * normal_cdf(x)', 'normal_cdf(x) + x * exp_of(-0.5 * x * x) * 0.3989422804'],
  gelu_tanh: [
    'x * sigmoid_of(two_u(x))',
    'swish_slope(x, two_u(x), (0.134145 * x * x + 1.0) * 1.5957691216)',
  ],
  gelu_quick: ['x * sigmoid_of(1.702 * x)', 'swish_slope(x, 1.702 * x, 1.702)'],
  relu: ['max(x, 0.0)', 'select(0.0, 1.0, x > 0.0)'],
  relu_squared: ['max(x, 0.0) * max(x, 0.0)', '2.0 * max(x, 0.0)'],
  silu: ['x * sigmoid_of(x)', 'swish_slope(x, x, 1.0)'],
  tanh: ['tanh_of(x)', '1.0 - tanh_of(x) * tanh_of(x)'],
  sigmoid: ['sigmoid_of(x)', 'sigmoid_of(x) * (1.0 - sigmoid_of(x))'],
  leaky_relu: ['select(0.01 * x, x, x > 0.0)', 'select(0.01, 1.0, x > 0.0)'],
};

const functionName = (kind: ActivationName, isDerivative: boolean): string =>
  `${isDerivative ? 'slope_of' : 'active'}_${kind}`;

/** Functions that {@link activationText} and {@link derivativeText} call. */
export const ACTIVATION_FUNCTIONS = `${MATHS}
fn normal_cdf(x: f32) -> f32 { return 0.5 * (1.0 + erf_of(x * 0.70710678)); }
fn two_u(x: f32) -> f32 { return x * (0.044715 * x * x + 1.0) * 1.5957691216; }
fn swish_slope(x: f32, a: f32, slope: f32) -> f32 { let s = sigmoid_of(a); return s * (x * slope * (1.0 - s) + 1.0); }
${(Object.keys(FORMULAS) as ActivationName[])
  .flatMap((kind) =>
    FORMULAS[kind].map(
      (text, n) => `fn ${functionName(kind, n === 1)}(x: f32) -> f32 { return ${text}; }`,
    ),
  )
  .join('\n')}`;

/** f(x) */
export const activationText = (kind: ActivationName, x: string): string =>
  `${functionName(kind, false)}(${x})`;
/** f′(x) */
export const derivativeText = (kind: ActivationName, x: string): string =>
  `${functionName(kind, true)}(${x})`;
