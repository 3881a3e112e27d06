/** The methods' hooks after each update, and what they remember in checkpoints. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import type { Adapter, AdapterParameter, Model } from '@peft/core';
import { readFloat32 } from '@peft/hub';
import { memorySource, type TensorSource } from '@peft/ops';
import type { Gradients } from '@peft/optim';
import type { RunContext } from '../run/run-context.js';

const activeOf = (model: Model): Adapter[] =>
  model.activeAdapters.map((name) => model.adapter(name));

/**
 * Tells methods that asked for it about the update, one after the other.
 * @param gradientScale what clipping multiplied the gradients with; the hooks see them as the
 *   update did.
 */
export async function runHooks(
  { model, owned, state }: Pick<RunContext, 'model' | 'owned' | 'state'>,
  gradients: Gradients,
  gradientScale: number,
): Promise<void> {
  const adapters = activeOf(model).filter(({ stepHooks }) => stepHooks.length > 0);
  if (adapters.length === 0) return;
  const keys = new Map<unknown, string>(owned.map(({ key, parameter }) => [parameter, key]));
  const made: Tensor[] = [];
  const gradient = (parameter: AdapterParameter): Tensor | undefined => {
    const found = gradients[keys.get(parameter) ?? ''];
    if (!found) return undefined;
    const scaled =
      found instanceof tf.Tensor
        ? tf.mul(found, gradientScale)
        : tf.tensor(
            found.map((value) => value * gradientScale),
            [...parameter.shape],
            'float32',
          );
    made.push(tf.keep(scaled));
    return scaled;
  };
  try {
    for (const { stepHooks } of adapters)
      for (const hook of stepHooks) await hook({ step: state.step + 1, gradient });
  } finally {
    tf.dispose(made);
  }
}

/** No parameter's key has two slashes in a row. */
const prefixOf = (adapter: Adapter, index: number): string => `${adapter.name}//${index}/`;

/** What the hooks of the active adapters remember, as tensors of a checkpoint. */
export function hookMemory(model: Model): TensorSource[] {
  return activeOf(model).flatMap((adapter) =>
    adapter.stepMemories.flatMap((memory, i) =>
      Object.entries(memory.save()).map(([name, values]) =>
        memorySource(`${prefixOf(adapter, i)}${name}`, [values.length], values),
      ),
    ),
  );
}

/**
 * Weights that are the mean of several steps are those of no step: what hooks remember of one
 * (which ranks to drop) does not fit them.
 */
export const forgetHookMemory = (model: Model): void => restoreHookMemory(model, []);

/** Gives the hooks back what a checkpoint remembers. */
export function restoreHookMemory(model: Model, saved: readonly TensorSource[]): void {
  for (const adapter of activeOf(model)) {
    for (const [i, memory] of adapter.stepMemories.entries()) {
      const prefix = prefixOf(adapter, i);
      memory.restore(
        Object.fromEntries(
          saved
            .filter(({ name }) => name.startsWith(prefix))
            .map((source) => [source.name.slice(prefix.length), readFloat32(source)]),
        ),
      );
    }
  }
}
