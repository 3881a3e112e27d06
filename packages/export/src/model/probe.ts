/** Compares the results of what was written with those of the adapter beside its base. */
import * as tf from '@tensorflow/tfjs';
import { deviationOf, loadModel, probeBatch, probedValues, type Model } from '@peft/core';
import type { TrainedModel } from '@peft/predictor';
import type { ExportReport, WrittenModel } from '../format.js';

/** Results of the probe batch; undefined for a model that reads no tokens. */
export function probe(model: Model): Float32Array | undefined {
  const batch = probeBatch(model.description, model.configJson);
  return batch && tf.tidy(() => probedValues(model.forward(batch, { logitRows: 'last' })));
}

/** Loads what was written beside the model that is exported. */
export function deviationOfWritten(
  { model, engine, base }: TrainedModel,
  expected: Float32Array,
  { config, store }: WrittenModel,
): ExportReport['deviation'] {
  try {
    const written = loadModel(base.architecture, config, store, engine, {
      head: model.description.head,
    });
    try {
      return deviationOf(expected, probe(written)!);
    } finally {
      written.dispose();
    }
  } finally {
    store.close();
  }
}
