/** What is left of LoRA's updates without their intruder dimensions, and how many there were. */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { loadAdapter, type LinearAttachment } from '@peft/core';
import { lora, reduceIntruders, type ReduceIntrudersOptions } from '@peft/lora';
import { Comparison } from '../comparison.js';
import { readGoldenCase, type GoldenContext, type GoldenResult } from '../golden-case.js';
import { openModel, type Task } from '../task.js';
import { withModel } from '../with-model.js';
import { deltaOf } from './adapters/as-stored.js';

interface IntruderCase {
  readonly base: string;
  readonly task: Task;
  readonly options: ReduceIntrudersOptions;
  readonly intruders: Readonly<Record<string, number>>;
}

export async function check(
  folder: string,
  { fixtures, engine }: GoldenContext,
): Promise<GoldenResult> {
  const golden = readGoldenCase(folder);
  const { base, task, options, intruders } = golden.json as unknown as IntruderCase;
  const comparison = new Comparison(golden);
  await withModel(
    () => openModel(join(fixtures, base), task, engine),
    async (model) => {
      await loadAdapter(model, folder, { name: 'before', methods: [lora] });
      const made = reduceIntruders(model, 'before', 'after', options);
      comparison.equal(
        'intruders',
        Object.fromEntries([...made.intruders].sort()),
        Object.fromEntries(Object.entries(intruders).sort()),
      );
      for (const { site, attachment } of [...made.adapter.attachments.values()].flat())
        tf.tidy(() => {
          if (site.kind !== 'linear') return;
          comparison.tensor(site.path, deltaOf(model, site, attachment as LinearAttachment));
        });
    },
  );
  return comparison.result();
}
