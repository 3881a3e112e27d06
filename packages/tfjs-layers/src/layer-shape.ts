/**
 * What this package reads of a tfjs layer or model beyond its public types. Fields are tested
 * before they are used, so that bundles with a copy of tfjs work, too.
 */
import type { Optimizer, Tensor } from '@tensorflow/tfjs';

export interface LayerWeight {
  readonly shape: readonly (number | null)[];
  readonly originalName: string;
  trainable: boolean;
  read(): Tensor;
  write(value: Tensor): unknown;
}

export interface TfLayer {
  readonly name: string;
  readonly weights: LayerWeight[];
  readonly trainableWeights: LayerWeight[];
  readonly losses: (() => Tensor)[];
  getClassName(): string;
  call(inputs: Tensor | Tensor[], kwargs: Readonly<Record<string, unknown>>): Tensor | Tensor[];
  /** Layers of a nested model. */
  readonly layers?: TfLayer[];
  readonly [field: string]: unknown;
}

export type OptimizerWithState = Optimizer & { readonly iterations: number };

/** A model that may have an inner one, as `tf.sequential` has. */
export interface TfModel extends TfLayer {
  readonly model?: TfModel;
  optimizer?: OptimizerWithState;
  isOptimizerOwned?: boolean;
  collectedTrainableWeights?: LayerWeight[];
}

export const isLayer = (value: unknown): value is TfLayer =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as TfLayer).getClassName === 'function' &&
  typeof (value as TfLayer).call === 'function' &&
  Array.isArray((value as { inboundNodes?: unknown }).inboundNodes);

/**
 * Layers that a layer is made of: those of a nested model, or what an attention or a wrapper holds
 * in its fields.
 */
export function innerLayers(layer: TfLayer): TfLayer[] {
  if (Array.isArray(layer.layers)) return layer.layers;
  return [
    ...new Set(
      Object.values(layer)
        .flatMap((value: unknown) => value)
        .filter(isLayer),
    ),
  ];
}
