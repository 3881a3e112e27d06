/** Several adapters at once: rows that mix them, and adapters made of weighted others. */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { loadAdapter, type LinearAttachment } from '@peft/core';
import { combineLora, routeLora } from '@peft/lora';
import { methods } from '../../methods.js';
import { comparedOf } from '../../task.js';
import { withModel } from '../../with-model.js';
import { type Check } from './adapter-case.js';
import { deltaOf } from './as-stored.js';

export async function checkMixed({ folder, json, comparison, open, pack }: Check): Promise<void> {
  await withModel(open, async (model) => {
    for (const name of ['a', 'b']) await loadAdapter(model, join(folder, name), { name, methods });
    const packed = pack(json.batch);
    tf.tidy(() =>
      comparison.tensor(
        'logits',
        comparedOf(
          json.task,
          model.forward(packed.batch, { assignment: json.adapter_names! }),
          packed,
        ),
      ),
    );
  });
}

export async function checkWeighted({
  folder,
  json,
  comparison,
  open,
  pack,
}: Check): Promise<void> {
  await withModel(open, async (model) => {
    const packed = pack(json.batch);
    const compare = (name: string) =>
      tf.tidy(() =>
        comparison.tensor(
          `logits.${name}`,
          comparedOf(json.task, model.forward(packed.batch), packed),
        ),
      );
    for (const name of ['a', 'b']) {
      await loadAdapter(model, join(folder, name), { name, methods });
      compare(name);
    }
    model.setActiveAdapters('a', 'b');
    compare('both_active');
    for (const [name, options] of Object.entries(json.combinations!)) {
      const masks = comparison
        .names(`mask.${name}.`)
        .sort((x, y) => Number(x.split('.').at(-1)) - Number(y.split('.').at(-1)));
      comparison.input(...masks);
      let drawn = 0;
      const adapter = combineLora(model, ['a', 'b'], name, {
        weights: options.weights,
        combination: options.combination_type,
        ...(options.svd_rank !== undefined && { rank: options.svd_rank }),
        ...(options.density !== undefined && { density: options.density }),
        ...(options.majority_sign_method && { majoritySign: options.majority_sign_method }),
        ...(masks.length > 0 && {
          keep: () => comparison.golden.tensors.get(masks[(drawn += 1) - 1]!)!.values,
        }),
      });
      compare(name);
      for (const { site, attachment: attached } of [...adapter.attachments.values()].flat()) {
        if (site.kind !== 'linear' || !comparison.has(`delta.${name}.${site.path}`)) continue;
        tf.tidy(() =>
          comparison.tensor(
            `delta.${name}.${site.path}`,
            deltaOf(model, site, attached as LinearAttachment),
          ),
        );
      }
      model.deleteAdapter(name);
    }
  });
}

export async function checkRouted({ folder, json, comparison, open, pack }: Check): Promise<void> {
  await withModel(open, async (model) => {
    const adapters = json.adapter_names!;
    const general = json.general_names!;
    for (const name of [...adapters, ...general])
      await loadAdapter(model, join(folder, name), { name, methods });
    const packed = pack(json.batch);
    for (const [name, options] of Object.entries(json.routes!)) {
      await routeLora(model, name, {
        adapters,
        general: options.use_gks ? general : [],
        topK: options.top_k,
        temperature: options.router_temperature,
      });
      tf.tidy(() =>
        comparison.tensor(
          `logits.${name}`,
          comparedOf(json.task, model.forward(packed.batch), packed),
        ),
      );
      model.deleteAdapter(name);
    }
  });
}
