/**
 * What a layer computes with whatever is attached to its site: its own formula, the site's map
 * replaced by that of a run.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import type { ModelRun, Site } from '@peft/core';
import { einsumSizes } from './layer-sites.js';
import type { LayerWeight, TfLayer } from './layer-shape.js';
import { patchesOf } from './patches.js';

/** @returns a tensor of the enclosing tidy scope. */
export function callWithAdapters(site: Site, layer: TfLayer, input: Tensor, run: ModelRun): Tensor {
  switch (site.kind) {
    case 'embedding': {
      const ids = Int32Array.from(input.dataSync()); // rows are chosen by number
      return tf.reshape(run.embed(site.path, ids), [...input.shape, site.size]);
    }
    case 'norm':
      return tf.reshape(
        run.norm(site.path, tf.reshape(input, [-1, site.size]), layer['epsilon'] as number),
        input.shape,
      );
    case 'linear':
      return activated(layer, linear(site.path, site.inFeatures, layer, input, run));
    default:
      throw new TypeError(`layers have no ${site.kind} sites`);
  }
}

function linear(
  path: string,
  inFeatures: number,
  layer: TfLayer,
  input: Tensor,
  run: ModelRun,
): Tensor {
  const kind = layer.getClassName();
  if (kind === 'Conv1D' || kind === 'Conv2D') {
    const { rows, restore } = patchesOf(layer, input);
    return restore(run.linear(path, rows));
  }
  const y = run.linear(path, tf.reshape(input, [-1, inFeatures]) as Tensor2D);
  if (kind === 'Dense') return tf.reshape(y, [...input.shape.slice(0, -1), y.shape[1]]);
  const shape = (layer['kernel'] as LayerWeight).shape as number[];
  const summed = axesOf(shape, einsumSizes(layer, shape)[0]);
  return tf.reshape(y, [...input.shape.slice(0, -summed), ...shape.slice(summed)]);
}

/** How many of the first axes have `size` elements together. */
function axesOf(shape: readonly number[], size: number): number {
  let axes = 0;
  for (let product = 1; product < size || axes === 0; axes += 1) product *= shape[axes]!;
  return axes;
}

function activated(layer: TfLayer, y: Tensor): Tensor {
  const activation = layer['activation'] as { apply(x: Tensor): Tensor } | null | undefined;
  return activation ? activation.apply(y) : y;
}
