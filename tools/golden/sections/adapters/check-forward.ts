/** Logits and loss of a loaded adapter, merged, unmerged and converted. */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { loadAdapter, type Model } from '@peft/core';
import { toPlainLora } from '@peft/lora';
import { type Comparison } from '../../comparison.js';
import { methods } from '../../methods.js';
import { comparedOf, taskLoss } from '../../task.js';
import { withModel } from '../../with-model.js';
import { type Check } from './adapter-case.js';
import { asStored } from './as-stored.js';

export async function checkForward({ folder, json, comparison, open, pack }: Check): Promise<void> {
  const packed = pack(json.batch);
  const compare = (model: Model, name: string, batch = packed) =>
    tf.tidy(() =>
      comparison.tensor(name, comparedOf(json.task, model.forward(batch.batch), batch)),
    );
  await withModel(open, async (model) => {
    if (comparison.has('logits_base')) compare(model, 'logits_base', { ...packed, extra: 0 });
    const { warnings } = await loadAdapter(model, folder, { methods });
    comparison.equal('warnings', warnings, []);
    compare(model, 'logits');
    tf.tidy(() =>
      comparison.tensor(
        'loss',
        taskLoss(json.task, model.forward(packed.batch), packed).dataSync(),
      ),
    );
    if (comparison.has('logits_merged')) {
      model.mergeAdapters();
      compare(model, 'logits_merged');
      for (const name of comparison.names('merged.')) compareMerged(comparison, model, name);
      model.unmergeAdapters();
      compare(model, 'logits');
    }
  });
  if (comparison.has('logits_converted')) {
    await withModel(open, async (model) => {
      await loadAdapter(model, join(folder, 'converted'), { methods });
      compare(model, 'logits_converted');
    });
    // Ours from the adapter itself, on its own base.
    await withModel(open, async (model) => {
      await loadAdapter(model, folder, { methods });
      toPlainLora(model, 'default', 'plain');
      compare(model, 'logits_converted');
    });
  }
}

function compareMerged(comparison: Comparison, model: Model, name: string): void {
  const { parameters, sites } = model.description;
  const named = name.slice('merged.'.length);
  // A tied output layer's weight is the embedding's.
  const parameter = parameters.some((spec) => spec.name === named)
    ? named
    : sites.flatMap((site) =>
        site.kind === 'linear' && `${site.path}.weight` === named ? [site.weight] : [],
      )[0]!;
  const value = model.readParameter(parameter);
  tf.tidy(() => comparison.tensor(name, asStored(model, parameter, value).dataSync()));
  value.dispose();
}
