/** Initialisations by singular values, made anew from the config. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { peftFormat, type LinearAttachment } from '@peft/core';
import { methods } from '../../methods.js';
import { withModel } from '../../with-model.js';
import { type Check } from './adapter-case.js';
import { deltaOf, asStored } from './as-stored.js';

/** PiSSA and OLoRA: what they take out of the base weights, made anew from the config. */
export async function checkStart({ folder, comparison, open }: Check): Promise<void> {
  await withModel(open, async (model) => {
    const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    const adapter = model.addAdapter(
      'fresh',
      peftFormat.readSpec(config, methods, model.description, []),
      { strict: false },
    );
    for (const [name, weight] of adapter.replaced)
      tf.tidy(() =>
        comparison.tensor(
          `base_after_init.${name}`,
          asStored(model, name, weight.engine.dequantize(weight)).dataSync(),
        ),
      );
    for (const { site, attachment: attached } of [...adapter.attachments.values()].flat()) {
      if (site.kind !== 'linear') continue;
      tf.tidy(() =>
        comparison.tensor(
          `init_delta.${site.path}`,
          deltaOf(model, site, attached as LinearAttachment),
        ),
      );
    }
  });
}
