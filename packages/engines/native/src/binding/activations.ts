/** Activations: cpp/binding/activations.cc. */
import type { ActivationName } from '@peft/ops';

type F32 = Float32Array;

/** Codes of `activation…`, `gated…`. */
export const ACTIVATION: Readonly<Record<ActivationName, number>> = Object.freeze({
  gelu: 0,
  gelu_tanh: 1,
  gelu_quick: 2,
  relu: 3,
  relu_squared: 4,
  silu: 5,
  tanh: 6,
  sigmoid: 7,
  leaky_relu: 8,
});

/** Plain and gated activations with their gradients. In place allowed: y may be x, or an operand. */
export interface ActivationFunctions {
  activation(kind: number, x: F32, y: F32, length: number): void;
  activationGradient(kind: number, x: F32, dy: F32, dx: F32, length: number): void;
  gatedActivation(kind: number, gate: F32, up: F32, y: F32, length: number): void;
  gatedActivationGradient(
    kind: number,
    gate: F32,
    up: F32,
    dy: F32,
    dgate: F32,
    dup: F32,
    length: number,
  ): void;
}
