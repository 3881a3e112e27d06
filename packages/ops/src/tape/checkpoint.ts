/**
 * Gradient checkpointing: a block keeps its inputs alone and is computed again when its gradient is
 * asked for.
 *
 * Exact: the recomputation runs the same operations on the same values (dropout is a function of
 * its key). The block is run once under a tape of its own, whose only use is to find the variables
 * that the block reads; what that tape saved is freed at once. In the backward pass the block is
 * run again and differentiated, with the outer tape set aside meanwhile (tfjs 4.22 loses it
 * otherwise).
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Variable } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { freezeTensor, isFrozenTensor } from '../weights/frozen-tensor.js';
import { gradientsOf } from './gradients.js';

interface TapeNode {
  readonly inputs: Record<string, Tensor>;
  readonly saved?: Tensor[];
}
interface TapeState {
  activeTape: TapeNode[] | null;
  gradientDepth: number;
  kernelDepth: number;
}
interface TapeEngine {
  readonly state: TapeState;
}
const engineOf = (): TapeEngine => tf.engine();

/**
 * Runs `block(...inputs)`, keeping no intermediate result for its gradient.
 *
 * @param inputs every tensor that the block reads, save variables and frozen tensors, which it may
 *   capture.
 * @param block pure in its inputs and the variables it captures; may run twice.
 * @returns the block's result, owned by the enclosing scope; frozen where no gradient can reach what
 *   it was made of.
 * @throws PEFT_CHECKPOINT_CAPTURE when the block captures a float32 tensor that is neither a
 *   variable nor frozen.
 */
export function checkpoint<T extends Tensor>(
  inputs: readonly Tensor[],
  block: (...inputs: Tensor[]) => T,
): T {
  const { state } = engineOf();
  if (state.gradientDepth === 0 || state.kernelDepth > 0) return tf.tidy(() => block(...inputs));
  const { value, variables } = runAndFindVariables(inputs, block);
  if (inputs.includes(value)) return value; // nothing was computed
  const open = inputs
    .map((input, i) => ({ input, i }))
    .filter(({ input }) => !isFrozenTensor(input));
  if (open.length === 0 && variables.length === 0) return freezeTensor(value);
  const run = tf.customGrad((...args: unknown[]) => {
    (args.at(-1) as (tensors: Tensor[]) => void)([...inputs]);
    return {
      value,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        saved.forEach((copy, i) => isFrozenTensor(inputs[i]!) && freezeTensor(copy));
        return recomputeGradients(
          block,
          saved,
          open.map(({ i }) => i),
          variables,
          dy,
        );
      },
    };
  });
  return run(...open.map(({ input }) => input), ...variables);
}

function runAndFindVariables<T extends Tensor>(
  inputs: readonly Tensor[],
  block: (...inputs: Tensor[]) => T,
): { value: T; variables: Variable[] } {
  const { state } = engineOf();
  const outerTape = state.activeTape;
  const firstOwnId = tf.tidy(() => tf.scalar(0).id);
  const allowed = new Set<Tensor>(inputs);
  const variables = new Set<Variable>();
  state.activeTape = [];
  try {
    const value = tf.tidy(() => block(...inputs));
    for (const node of state.activeTape ?? []) {
      for (const input of Object.values(node.inputs)) {
        if (input instanceof tf.Variable) variables.add(input as Variable);
        else if (
          input.id < firstOwnId &&
          input.dtype === 'float32' &&
          !allowed.has(input) &&
          !isFrozenTensor(input)
        )
          throw captured(input);
      }
    }
    return { value, variables: [...variables] };
  } finally {
    for (const node of state.activeTape ?? [])
      for (const tensor of node.saved ?? []) tensor.dispose();
    state.activeTape = outerTape;
  }
}

function recomputeGradients(
  block: (...inputs: Tensor[]) => Tensor,
  inputs: Tensor[],
  open: readonly number[],
  variables: readonly Variable[],
  dy: Tensor,
): Tensor[] {
  const engine = engineOf();
  const outerTape = engine.state.activeTape;
  try {
    const targets = [...open.map((i) => inputs[i]!), ...variables];
    const { value, gradients } = gradientsOf(() => block(...inputs), targets, dy);
    value.dispose();
    return gradients.map((gradient, i) => gradient ?? tf.zerosLike(targets[i]!));
  } finally {
    engine.state.activeTape = outerTape;
  }
}

function captured(tensor: Tensor): PeftError {
  return new PeftError(
    'PEFT_CHECKPOINT_CAPTURE',
    `checkpoint: the block captures a tensor of shape [${tensor.shape.join(', ')}] that ` +
      'is neither a variable nor frozen.',
    {
      hint: 'pass it in the list of inputs, so that a gradient can reach it',
    },
  );
}
