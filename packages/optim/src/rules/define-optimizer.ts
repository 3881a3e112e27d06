/**
 * Makes an optimiser from a rule for one parameter: reads and writes variables, checks, counts
 * steps.
 *
 * The arithmetic is a loop over Float32Array, not tfjs ops: trainables are many and small, and one
 * AdamW step is about twelve tfjs kernels for each of them. Measured on two cores of an AMD EPYC,
 * the 122,882 IA3 and bias values of mDeBERTa-v3-base in 124 tensors: 1.2 ms a step this way on
 * tfjs' cpu backend and 1.7 ms on wasm, 25 ms and 10 ms with their kernels. Intermediate values are
 * float64, stored values float32, so a step gives the same bytes on every backend. An engine may
 * offer something faster that gives those bytes, too (`PeftArrayKernels` of @peft/ops). Only state
 * on a device (`deviceStateStore`) is updated in tfjs ops, hundreds of parameters at a time, since
 * copies to and fro would cost more there.
 */
import { check, didYouMean, PeftError } from '@peft/errors';
import * as tf from '@tensorflow/tfjs';
import { assertRunsOnDevice } from '../state/device-state-store.js';
import type { Optimizer, OptimizerState, UpdateOptions } from './optimizer.js';
import type { TrainableParameter } from '../parameters/parameter.js';
import { memoryStateStore, type RangeVisitor, type StateStore } from '../state/state-store.js';
import type { SlotSpec, StateArray } from '../state/slots.js';
import type { TensorRule } from './tensor-rule.js';
import type { UpdateContext } from './update-context.js';
import { updatePages } from '../state/update-pages.js';

/** The state of the parameter being updated. */
export interface ParameterState {
  visit(access: 'read' | 'write', visitor: RangeVisitor): void;
  whole(slot: string): StateArray;
}

/** What an optimiser does to one parameter; `defineOptimizer` makes the rest of it. */
export interface OptimizerRule {
  readonly name: string;
  slots(shape: readonly number[]): readonly SlotSpec[];
  /**
   * Changes `values` and the state in place. Must not change `gradient`, which may be a backend's
   * own memory.
   */
  updateParameter(
    values: Float32Array,
    gradient: Float32Array,
    state: ParameterState,
    context: UpdateContext,
  ): void;
  /**
   * The same arithmetic in tfjs ops, for state on a device; only where every slot is float32 and of
   * the parameter's size.
   */
  readonly tensors?: TensorRule;
}

/**
 * Changes `values` and the slots' arrays (in the order of `slots`) in place for one range of
 * elements. The gradient of element i is `Math.fround(gradient[i] * context.gradientScale)`. A
 * kernel of an engine must be deterministic.
 */
export type ElementwiseKernel = (
  values: Float32Array,
  gradient: Float32Array,
  arrays: readonly StateArray[],
  context: UpdateContext,
) => void;

/** `updateParameter` of a rule that treats every element (or block of 256) by itself. */
export function elementwise(kernel: ElementwiseKernel): OptimizerRule['updateParameter'] {
  return (values, gradient, state, context) => {
    state.visit('write', (start, end, arrays) => {
      kernel(values.subarray(start, end), gradient.subarray(start, end), arrays, context);
    });
  };
}

/** An optimiser from a rule; how third parties make theirs, too. */
export function defineOptimizer(rule: OptimizerRule): Optimizer {
  return Object.freeze({
    name: rule.name,
    slots: (shape) => rule.slots(shape),
    runsOnDevice: rule.tensors !== undefined,
    init(
      parameters: Parameters<Optimizer['init']>[0],
      { store = memoryStateStore() }: Parameters<Optimizer['init']>[1] = {},
    ) {
      for (const { name, variable } of parameters) {
        if (variable.dtype !== 'float32') {
          throw new PeftError(
            'PEFT_OPTIM_DTYPE',
            `${rule.name}: the parameter ${JSON.stringify(name)} is ${variable.dtype}, but only float32 trains.`,
          );
        }
      }
      if (store.pages)
        assertRunsOnDevice({ name: rule.name, runsOnDevice: rule.tensors !== undefined });
      store.declare(
        parameters.map(({ name, variable, group }) => ({
          parameter: name,
          elements: variable.size,
          slots: rule.slots(variable.shape),
          group,
        })),
      );
      return {
        optimizer: rule.name,
        store,
        steps: new Map(parameters.map(({ name }) => [name, 0])),
        dispose: () => store.dispose(),
      };
    },
    async update(parameters, gradients, state, options) {
      check.finite(rule.name, 'learningRate', options.learningRate);
      check.finite(rule.name, 'gradientScale', options.gradientScale ?? 1);
      validate(rule.name, parameters, gradients, state);
      const { pages } = state.store;
      if (pages) {
        const touched = parameters.flatMap((parameter) => {
          const gradient = gradients[parameter.name];
          return gradient
            ? [{ parameter, gradient, context: contextOf(parameter, state, options) }]
            : [];
        });
        await updatePages(
          rule.tensors!,
          pages,
          new Map(touched.map((own) => [own.parameter.name, own])),
        );
        for (const { parameter, context } of touched) state.steps.set(parameter.name, context.step);
        return;
      }
      for (const parameter of parameters) {
        const { name, variable } = parameter;
        const gradient = gradients[name];
        if (gradient === undefined) continue;
        const context = contextOf(parameter, state, options);
        // The update needs the values; on a CPU backend they are there, from an accelerator one
        // small tensor has to come.
        const values = new Float32Array(await variable.data<'float32'>());
        rule.updateParameter(
          values,
          gradient instanceof Float32Array ? gradient : await gradient.data<'float32'>(),
          bind(state.store, name),
          context,
        );
        const updated = tf.tensor(values, variable.shape, 'float32');
        variable.assign(updated);
        updated.dispose();
        state.steps.set(name, context.step);
      }
    },
  } satisfies Optimizer);
}

function contextOf(
  { name, variable, group }: TrainableParameter,
  { steps }: OptimizerState,
  { learningRate, gradientScale = 1 }: UpdateOptions,
): UpdateContext {
  return {
    step: steps.get(name)! + 1,
    learningRate: learningRate * group.learningRateScale,
    learningRateScale: group.learningRateScale,
    weightDecay: group.weightDecay,
    gradientScale,
    shape: variable.shape,
  };
}

function bind(store: StateStore, parameter: string): ParameterState {
  return {
    visit: (access, visitor) => store.visit(parameter, access, visitor),
    whole: (slot) => store.whole(parameter, slot),
  };
}

function validate(
  owner: string,
  parameters: readonly TrainableParameter[],
  gradients: Readonly<Record<string, tf.Tensor | Float32Array>>,
  state: OptimizerState,
): void {
  if (state.optimizer !== owner) {
    throw new PeftError(
      'PEFT_OPTIM_STATE_MISMATCH',
      `${owner}: the state was made by ${state.optimizer}.`,
      { hint: "Pass the state that this optimiser's init returned." },
    );
  }
  const names = new Set<string>();
  for (const { name, variable } of parameters) {
    names.add(name);
    const gradient = gradients[name];
    if (gradient === undefined) continue;
    if (!state.steps.has(name)) {
      throw new PeftError(
        'PEFT_OPTIM_PARAMETER_UNKNOWN',
        `${owner}: there is no state for the parameter ${JSON.stringify(name)}.`,
        { hint: 'Pass every parameter that will be updated to init first.' },
      );
    }
    const fits =
      gradient instanceof Float32Array
        ? gradient.length === variable.size
        : gradient.dtype === 'float32' && tf.util.arraysEqual(gradient.shape, variable.shape);
    if (!fits) {
      const got =
        gradient instanceof Float32Array
          ? `${gradient.length} values`
          : `${gradient.dtype} [${gradient.shape.join(', ')}]`;
      throw new PeftError(
        'PEFT_OPTIM_GRADIENT_SHAPE',
        `${owner}: the gradient of ${JSON.stringify(name)} is ${got}, ` +
          `but the parameter is float32 [${variable.shape.join(', ')}].`,
      );
    }
  }
  for (const name of Object.keys(gradients)) {
    if (!names.has(name)) {
      throw new PeftError(
        'PEFT_OPTIM_GRADIENT_UNKNOWN',
        `${owner}: there is a gradient for ${JSON.stringify(name)}, which is not among the ${names.size} parameters.`,
        { hint: didYouMean(name, names) || 'Pass the parameter, too.' },
      );
    }
  }
}
