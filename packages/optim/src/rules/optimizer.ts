/**
 * The optimiser seam: two functions over named parameters, `init` and `update`. All state is in the
 * value that `init` returns.
 */
import type { Gradients, TrainableParameter } from '../parameters/parameter.js';
import type { StateStore } from '../state/state-store.js';
import { slotBytes, type SlotSpec } from '../state/slots.js';

/**
 * Everything an optimiser remembers between updates. Save it with `stateTensors`, bring it back
 * with `restoreState`.
 */
export interface OptimizerState {
  /** Name of the optimiser that made it. */
  readonly optimizer: string;
  readonly store: StateStore;
  /** How many updates each parameter has had (1-based within the update). */
  readonly steps: Map<string, number>;
  /** Frees the store, and its page file if it has one. */
  dispose(): void;
}

/** What one `update` is told beside parameters and gradients. */
export interface UpdateOptions {
  /** The schedule's rate for this step; each group multiplies it by its `learningRateScale`. */
  readonly learningRate: number;
  /**
   * Every gradient is multiplied by it first, rounded to float32: clipping and loss scaling without
   * new tensors. Default 1.
   */
  readonly gradientScale?: number;
}

/** Where the state that `init` makes lies. */
export interface InitOptions {
  /**
   * Where the state lives; default `memoryStateStore()`. The state takes it over and disposes it.
   */
  readonly store?: StateStore;
}

/**
 * An optimiser is a value. `update` changes the variables and the state in place and leaves no
 * tensor behind.
 *
 * ```ts
 * const optimizer = adamw();
 * const state = optimizer.init(parameters);
 * await optimizer.update(parameters, gradients, state, { learningRate: schedule(step) });
 * ```
 */
export interface Optimizer {
  /** For instance `adamw_8bit`. */
  readonly name: string;
  /** The state of a parameter of that shape. */
  slots(shape: readonly number[]): readonly SlotSpec[];
  /**
   * Whether its state may lie on a device (`deviceStateStore`); its arithmetic is there in tensor
   * operations, too. Default false.
   */
  readonly runsOnDevice?: boolean;
  /**
   * Zeroed state for the parameters.
   * @throws PEFT_OPTIM_DTYPE for a variable that is not float32, PEFT_OPTIM_PARAMETER_DUPLICATE,
   *   PEFT_OPTIM_DEVICE_UNSUPPORTED for a store on a device when the optimiser computes on the host
   *   alone.
   */
  init(parameters: readonly TrainableParameter[], options?: InitOptions): OptimizerState;
  /**
   * One step for every parameter that has a gradient; the others, their state and their step count
   * stay as they are. Nothing may touch parameters, gradients and state until it is done.
   * @throws PEFT_OPTIM_GRADIENT_SHAPE, PEFT_OPTIM_GRADIENT_UNKNOWN for a gradient without a
   *   parameter, PEFT_OPTIM_PARAMETER_UNKNOWN for a parameter that `init` never saw,
   *   PEFT_OPTIM_STATE_MISMATCH for the state of another optimiser; all before anything is changed.
   */
  update(
    parameters: readonly TrainableParameter[],
    gradients: Gradients,
    state: OptimizerState,
    options: UpdateOptions,
  ): Promise<void>;
}

/** Bytes of state for parameters of these shapes, before any is made: for a memory plan. */
export function stateBytes(optimizer: Optimizer, shapes: Iterable<readonly number[]>): number {
  let bytes = 0;
  for (const shape of shapes) for (const slot of optimizer.slots(shape)) bytes += slotBytes(slot);
  return bytes;
}
