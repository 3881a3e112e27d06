/** Compares the results of what was written with those of the adapter beside its base. */
import * as tf from '@tensorflow/tfjs';
import {
  deviationOf,
  loadAdapter,
  loadModel,
  probeBatch,
  probedValues,
  type Model,
} from '@peft/core';
import type { TrainedModel } from '@peft/predictor';
import type { ExportReport, WrittenAdapter, WrittenModel } from '../format.js';

/** Results of the probe batch; undefined for a model that reads no tokens. */
export function probe(model: Model): Float32Array | undefined {
  const batch = probeBatch(model.description, model.configJson);
  return batch && tf.tidy(() => probedValues(model.forward(batch, { logitRows: 'last' })));
}

/** Loads what was written beside the model that is exported. */
export async function deviationOfWritten(
  source: TrainedModel,
  expected: Float32Array,
  written: WrittenModel | WrittenAdapter,
): Promise<ExportReport['deviation']> {
  const values =
    'store' in written ? valuesOfModel(source, written) : await valuesOfAdapter(source, written);
  return deviationOf(expected, values);
}

/** Its weights are read as they are needed: it is used once. */
function valuesOfModel(
  { model, engine, base }: TrainedModel,
  { config, store }: WrittenModel,
): Float32Array {
  try {
    const written = loadModel(base.architecture, config, store, engine, {
      head: model.description.head,
      isStreamed: true,
    });
    try {
      return probe(written)!;
    } finally {
      written.dispose();
    }
  } finally {
    store.close();
  }
}

/** The adapter stands beside the source's own for a moment. */
async function valuesOfAdapter(
  { model }: TrainedModel,
  { adapterFolder, methods }: WrittenAdapter,
): Promise<Float32Array> {
  const active = model.activeAdapters;
  const { adapter } = await loadAdapter(model, adapterFolder, { name: WRITTEN, methods });
  try {
    return probe(model)!;
  } finally {
    model.deleteAdapter(adapter.name);
    model.setActiveAdapters(...active);
  }
}

const WRITTEN = 'written-by-export';
