/** One operation on the tfjs tape with a gradient of its own, which leaves out whatever is frozen. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { freezeTensor, isFrozenTensor } from './frozen-tensor.js';

/** What an operation's gradient is told. */
export interface GradientCall<K extends string> {
  readonly dy: Tensor;
  /** What the forward pass saved, in its order. */
  readonly saved: readonly Tensor[];
  /** Inputs whose gradient is wanted: present and not frozen. */
  readonly needs: Readonly<Record<K, boolean>>;
}

/**
 * Runs `forward` as one node of the tape.
 *
 * @param inputs the tensors that it reads, by name; an absent one is left out.
 * @param forward computes the result; `save` keeps what the gradient will read (inputs included: they may be gone by then).
 * @param gradient returns dinput for each name in `needs`, in the input's shape.
 * @returns the result, owned by the enclosing tidy scope or the caller. It is frozen when every input is.
 */
export function differentiable<K extends string, T extends Tensor = Tensor>(
  inputs: Readonly<Record<K, Tensor | undefined>>,
  forward: (save: (tensors: Tensor[]) => void) => Tensor,
  gradient: (call: GradientCall<K>) => Partial<Record<K, Tensor>>,
): T {
  const names = Object.keys(inputs) as K[];
  const wanted = names.filter((name) => inputs[name] !== undefined && !isFrozenTensor(inputs[name]!));
  if (wanted.length === 0) return freezeTensor(tf.tidy(() => forward(() => undefined))) as T;
  const needs = Object.fromEntries(names.map((name) => [name, wanted.includes(name)])) as Record<K, boolean>;
  const run = tf.customGrad((...args: unknown[]) => {
    const save = args.at(-1) as (tensors: Tensor[]) => void;
    return {
      value: forward(save),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const gradients = gradient({ dy, saved, needs });
        return wanted.map((name) => gradients[name] ?? missingGradient(name));
      },
    };
  });
  return run(...wanted.map((name) => inputs[name]!)) as T;
}

function missingGradient(name: string): never {
  throw new Error(`an operation returned no gradient for its input "${name}"`);
}
