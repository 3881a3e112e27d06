/** What a compiled model trains, after its adapters have changed. */
import type { LayersModel } from '@tensorflow/tfjs';
import type { OptimizerWithState, TfModel } from './layer-shape.js';

/**
 * `compile` collected what `model.fit` trains, and an optimiser that has made a step keeps its
 * state by position: both are made anew.
 */
export function refreshTraining(model: LayersModel): void {
  const outer = model as unknown as TfModel;
  const inner = outer.model ?? outer;
  const { optimizer } = inner;
  if (!optimizer) return;
  inner.collectedTrainableWeights = inner.trainableWeights;
  if (optimizer.iterations === 0) return;
  // a static method of every optimiser's class
  const fresh = (
    optimizer.constructor as unknown as {
      fromConfig(cls: unknown, config: unknown): OptimizerWithState;
    }
  ).fromConfig(optimizer.constructor, optimizer.getConfig());
  if (inner.isOptimizerOwned) optimizer.dispose();
  for (const part of new Set([inner, outer]))
    // a sequence's own setter sets the inner model's alone
    Object.assign(part, { optimizer_: fresh, isOptimizerOwned: true });
}
