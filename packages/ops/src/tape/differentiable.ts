/**
 * One operation on the tfjs tape with a gradient of its own, which leaves out whatever is frozen.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { freezeTensor, isFrozenTensor } from '../weights/frozen-tensor.js';

/** Which inputs' gradients are wanted: those present and not frozen. */
export type Needs<K extends string> = Readonly<Record<K, boolean>>;

/** What an operation's gradient is told. */
export interface GradientCall<K extends string> {
  readonly dy: Tensor;
  /** What the forward pass saved, in its order; freed after the call. */
  readonly saved: readonly Tensor[];
  readonly needs: Needs<K>;
}

/** Keeps tensors for the gradient; does nothing where no gradient will be asked for. */
export type Save = (tensors: Tensor[]) => void;

/**
 * Runs `forward` as one node of the tape.
 *
 * @param inputs the tensors that it reads, by name; an absent one is left out.
 * @param forward computes the result, a tensor that is not one of the inputs; `save` keeps what the
 *   gradient will read (inputs included: they may be gone by then).
 * @param gradient returns dinput for each name in `needs`, in the input's shape. What else it makes
 *   is freed after the call.
 * @returns the result, owned by the enclosing tidy scope or the caller. It is frozen when every
 *   input is.
 */
export function differentiable<K extends string, T extends Tensor = Tensor>(
  inputs: Readonly<Record<K, Tensor | undefined>>,
  forward: (save: Save, needs: Needs<K>) => Tensor,
  gradient: (call: GradientCall<K>) => Partial<Record<K, Tensor>>,
): T {
  const names = Object.keys(inputs) as K[];
  const wanted = names.filter(
    (name) => inputs[name] !== undefined && !isFrozenTensor(inputs[name]),
  );
  const needs = Object.fromEntries(names.map((name) => [name, wanted.includes(name)])) as Record<
    K,
    boolean
  >;
  if (!isTapeOn()) {
    // what customGrad does then, without its bookkeeping, which every token would wait for
    const value = tf.tidy(() => forward(keepsNothing, needs)) as T;
    return wanted.length > 0 ? value : freezeTensor(value);
  }
  // With no input on the tape customGrad only keeps what `forward` does off it.
  const run = tf.customGrad((...args: unknown[]) => {
    const save = wanted.length > 0 ? (args.at(-1) as Save) : keepsNothing;
    return {
      value: forward(save, needs),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const gradients = tf.tidy(() => gradientsOf(wanted, gradient({ dy, saved, needs }), dy));
        if (isLastUse()) for (const tensor of saved) tensor.dispose();
        return gradients;
      },
    };
  });
  const value = run(...wanted.map((name) => inputs[name]!)) as T;
  return wanted.length > 0 ? value : freezeTensor(value);
}

const keepsNothing: Save = () => undefined;

/** Whether operations are recorded now; inside of one they are not. */
const isTapeOn = (): boolean => tf.engine().isTapeOn();

/**
 * In the order of `names`, each a tensor of its own: tfjs disposes of gradients one by one while it
 * adds them up.
 */
function gradientsOf<K extends string>(
  names: readonly K[],
  gradients: Partial<Record<K, Tensor>>,
  dy: Tensor,
): Tensor[] {
  const taken = new Set<Tensor>([dy]);
  return names.map((name) => {
    const found = gradients[name];
    if (!found) throw new Error(`an operation returned no gradient for its input "${name}"`);
    const own = taken.has(found) ? tf.clone(found) : found;
    taken.add(own);
    return own;
  });
}

/** Within a gradient of a gradient, tfjs will call this node once more. */
function isLastUse(): boolean {
  return (tf.engine() as unknown as { state: { gradientDepth: number } }).state.gradientDepth === 0;
}
