/**
 * Gradients by the tape, each freed as soon as nothing needs it any more.
 *
 * tfjs 4.22 keeps the gradient of every intermediate tensor until the whole backward pass is over,
 * though each is read once, by the node that made the tensor. Here it goes right after that, and so
 * does what the node saved: in a deep model the backward pass then takes less memory than the
 * forward pass left behind.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';

interface TapeNode {
  readonly kernelName: string;
  readonly inputs: Record<string, Tensor>;
  readonly outputs: Tensor[];
  readonly saved?: Tensor[];
  readonly gradient?: (dys: (Tensor | null)[]) => Record<string, () => Tensor>;
}
interface TapeEngine {
  readonly state: { activeTape: TapeNode[] | null; gradientDepth: number };
  startTape(): void;
  endTape(): void;
}
/** tfjs's engine with what its types keep private. */
const engineOf = (): TapeEngine => tf.engine() as unknown as TapeEngine;

/**
 * The value of `f` and its gradients towards `xs`. As tfjs's `grads`, for the outermost tape only.
 *
 * @param dy gradient of the value, default ones. The caller keeps it.
 * @returns tensors of the enclosing scope; `undefined` for an x that the value does not depend on.
 */
export function gradientsOf<T extends Tensor>(
  f: () => T,
  xs: readonly Tensor[],
  dy?: Tensor,
): { readonly value: T; readonly gradients: readonly (Tensor | undefined)[] } {
  const { state } = engineOf();
  const depth = state.gradientDepth;
  try {
    const value = recorded(f);
    const nodes = nodesBetween(state.activeTape ?? [], xs, value);
    // `tidy` hands arrays with gaps on, and its type knows none
    const gradients = tf.tidy(
      'backward',
      () => backward(nodes, xs, value, dy) as unknown as tf.TensorContainer,
    ) as unknown as (Tensor | undefined)[];
    return { value, gradients };
  } finally {
    if (depth === 0) {
      // those off the way, and all after an error
      freeSaved(state.activeTape ?? []);
      state.activeTape = null;
    }
  }
}

/** What a function gave, with the tape that leads there, which is walked once. */
export interface RecordedValue<T extends Tensor> {
  /** Of the scope that recorded it. */
  readonly value: T;
  /**
   * As `gradientsOf` gives them, at a time of the caller's choice; what the tape saved is freed.
   * @param dy gradient of the value, default ones. The caller keeps it.
   */
  gradients(dy?: Tensor): readonly (Tensor | undefined)[];
  /**
   * The same one by one, each as soon as nothing adds to it any more, while the tape in front of its
   * first use has not been walked. For xs that the tape made none of, as variables are.
   * @param dy gradient of the value, default ones. The caller keeps it.
   * @yields the number of an x that the value depends on, and its gradient, which the caller disposes
   */
  oneByOne(dy?: Tensor): Generator<readonly [x: number, gradient: Tensor]>;
  /** Frees what the tape saved when no gradient is wanted any more. */
  dispose(): void;
}

/**
 * The value of `f` now and its gradients later, when other tapes may have been recorded meanwhile.
 * The caller calls `gradients` or `dispose` once. Not within another tape.
 */
export function recordGradients<T extends Tensor>(
  f: () => T,
  xs: readonly Tensor[],
): RecordedValue<T> {
  const { state } = engineOf();
  if (state.gradientDepth > 0)
    throw new Error('recordGradients: another tape is being recorded; use gradientsOf within it');
  let tape: readonly TapeNode[] = [];
  try {
    const value = recorded(f);
    tape = state.activeTape ?? [];
    const nodes = nodesBetween(tape, xs, value);
    return {
      value,
      gradients: (dy) => {
        try {
          return tf.tidy(
            'backward',
            () => backward(nodes, xs, value, dy) as unknown as tf.TensorContainer,
          ) as unknown as (Tensor | undefined)[];
        } finally {
          freeSaved(tape);
        }
      },
      *oneByOne(dy) {
        try {
          yield* backwardOneByOne(nodes, xs, value, dy);
        } finally {
          freeSaved(tape);
        }
      },
      dispose: () => freeSaved(tape),
    };
  } catch (error) {
    freeSaved(state.activeTape ?? []);
    throw error;
  } finally {
    state.activeTape = null;
  }
}

function freeSaved(tape: readonly TapeNode[]): void {
  for (const { saved } of tape) for (const tensor of saved ?? []) tensor.dispose();
}

function recorded<T extends Tensor>(f: () => T): T {
  const engine = engineOf();
  engine.startTape();
  try {
    return tf.tidy('forward', f) as T;
  } finally {
    engine.endTape();
  }
}

/**
 * The loss and its gradients towards variables, by the variables' names; a variable that the loss
 * does not depend on has none.
 * @throws PEFT_GRADIENT_NONE when it depends on none of them.
 */
export function variableGradients(
  f: () => Scalar,
  variables: readonly Variable[],
): { readonly value: Scalar; readonly gradients: Record<string, Tensor> } {
  const { value, gradients } = gradientsOf(f, variables);
  if (gradients.every((gradient) => gradient === undefined)) {
    value.dispose();
    throw new PeftError(
      'PEFT_GRADIENT_NONE',
      `gradients: the result depends on none of the ${variables.length} variables.`,
      { hint: 'make sure that f uses the variables by operations that have gradients' },
    );
  }
  return {
    value,
    gradients: Object.fromEntries(
      variables.flatMap(({ name }, i) => (gradients[i] ? [[name, gradients[i]]] : [])),
    ),
  };
}

interface Step {
  readonly node: TapeNode;
  /** Names of the inputs that some x leads to. */ readonly inputs: readonly string[];
}

/** The nodes that lie on a way from an x to y, in the tape's order. */
function nodesBetween(tape: readonly TapeNode[], xs: readonly Tensor[], y: Tensor): Step[] {
  const fromX = new Set(xs.map(({ id }) => id));
  const steps: Step[] = [];
  for (const node of tape) {
    const inputs = Object.keys(node.inputs).filter((name) => fromX.has(node.inputs[name]!.id));
    if (inputs.length === 0) continue;
    for (const { id } of node.outputs) fromX.add(id);
    steps.push({ node, inputs });
  }
  const toY = new Set([y.id]);
  return steps
    .reverse()
    .filter(({ node }) => {
      const leads = node.outputs.some(({ id }) => toY.has(id));
      if (leads) for (const { id } of Object.values(node.inputs)) toY.add(id);
      return leads;
    })
    .reverse();
}

function backward(
  steps: Step[],
  xs: readonly Tensor[],
  y: Tensor,
  dy: Tensor | undefined,
): (Tensor | undefined)[] {
  const gradients = new Map<number, Tensor>([[y.id, dy ?? tf.onesLike(y)]]);
  const kept = new Set(xs.map(({ id }) => id));
  for (let step = steps.pop(); step; step = steps.pop()) goBack(step, gradients, kept, dy);
  return xs.map(({ id }) => gradients.get(id));
}

/** Each step's tensors outlive its scope, since the caller may do anything between two of them. */
function* backwardOneByOne(
  steps: Step[],
  xs: readonly Tensor[],
  y: Tensor,
  dy: Tensor | undefined,
): Generator<readonly [number, Tensor]> {
  const gradients = new Map<number, Tensor>([[y.id, dy ?? tf.keep(tf.onesLike(y))]]);
  /** By the step that reads them first: nothing adds to their gradients after it. */
  const complete = new Map<Step, number[]>();
  const unread = new Map(xs.map(({ id }, i) => [id, i]));
  for (const step of steps) {
    const read = step.inputs.flatMap((name) => {
      const { id } = step.node.inputs[name]!;
      const i = unread.get(id);
      return i !== undefined && unread.delete(id) ? [i] : [];
    });
    if (read.length > 0) complete.set(step, read);
  }
  try {
    for (let step = steps.pop(); step; step = steps.pop()) {
      const { node, inputs } = step;
      tf.tidy('backward', () => {
        goBack(step!, gradients, new Set(), dy);
        for (const name of inputs) tf.keep(gradients.get(node.inputs[name]!.id)!);
      });
      for (const i of complete.get(step) ?? []) {
        const gradient = gradients.get(xs[i]!.id)!;
        gradients.delete(xs[i]!.id);
        yield [i, gradient];
      }
    }
  } finally {
    for (const gradient of gradients.values()) if (gradient !== dy) gradient.dispose();
  }
}

/** From the gradients of a step's outputs to those of its inputs. */
function goBack(
  { node, inputs }: Step,
  gradients: Map<number, Tensor>,
  kept: ReadonlySet<number>,
  dy: Tensor | undefined,
): void {
  if (!node.gradient) throw new Error(`the tfjs kernel ${node.kernelName} has no gradient`);
  const dys = node.outputs.map(({ id }) => gradients.get(id) ?? null);
  const derivatives = node.gradient(dys);
  for (const name of inputs) {
    const dx = tf.tidy(() => derivatives[name]!());
    accumulate(gradients, node.inputs[name]!.id, dys.includes(dx) ? tf.clone(dx) : dx);
  }
  for (const [i, { id }] of node.outputs.entries()) {
    const done = dys[i];
    if (!done || done === dy || kept.has(id)) continue;
    gradients.delete(id);
    done.dispose();
  }
  if (engineOf().state.gradientDepth === 0) for (const tensor of node.saved ?? []) tensor.dispose();
}

function accumulate(gradients: Map<number, Tensor>, id: number, dx: Tensor): void {
  const before = gradients.get(id);
  if (!before) return void gradients.set(id, dx);
  gradients.set(id, tf.add(before, dx));
  before.dispose();
  dx.dispose();
}
