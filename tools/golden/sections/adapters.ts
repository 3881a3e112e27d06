/** PEFT's adapters: loaded, run, merged, trained for six steps, and written again. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { peftTypeOf } from '@peft/core';
import { openSafetensors } from '@peft/hub';
import { Comparison } from '../comparison.js';
import { readGoldenCase, type GoldenContext, type GoldenResult } from '../golden-case.js';
import { methods } from '../methods.js';
import { keepPadding } from '../packed.js';
import { readsPadding, virtualLabels, virtualTokens, virtualWeights } from '../prompt-start.js';
import {
  isKnownModel,
  openModel,
  packTask,
  type PackedTask,
  type Task,
  type TaskBatch,
} from '../task.js';
import type { AdapterCase, Check } from './adapters/adapter-case.js';
import { checkForward } from './adapters/check-forward.js';
import { checkStart } from './adapters/check-start.js';
import { checkTraining } from './adapters/check-training.js';
import { checkWritten } from './adapters/check-written.js';
import { checkMixed, checkRouted, checkWeighted } from './adapters/check-combined.js';
import { withSigns } from './adapters/psoft-signs.js';

export async function check(
  folder: string,
  { fixtures, engine }: GoldenContext,
): Promise<GoldenResult> {
  const golden = readGoldenCase(folder);
  const json = golden.json as unknown as AdapterCase;
  const base = join(fixtures, json.base);
  if (!isKnownModel(base)) return { status: 'unsupported', detail: `the model ${json.base}` };
  const type = peftTypeIn(folder);
  if (!methods.some((method) => peftTypeOf(method) === type))
    return { status: 'unsupported', detail: `the method ${type}` };
  const startId = Number(
    (JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as Record<string, unknown>)[
      'decoder_start_token_id'
    ] ?? 0,
  );
  const keepsPadding = readsPadding(folder, json.task, base);
  const each: Check = {
    folder,
    json,
    comparison: new Comparison(golden),
    open: () => openModel(base, json.task, engine, outputsIn(folder), json.vocabulary),
    pack: (batch) => ({
      ...(keepsPadding
        ? packPadded(json.task, batch, startId)
        : packTask(json.task, batch, startId)),
      extra: virtualTokens(folder, json.task),
      extraLabels: virtualLabels(folder),
      extraWeights: virtualWeights(folder),
    }),
  };
  if (type !== 'PSOFT') return checkAll(each);
  const copy = await withSigns(each);
  try {
    return await checkAll({ ...each, folder: copy });
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

async function checkAll(each: Check): Promise<GoldenResult> {
  const { json } = each;
  if (json.kind === 'mixed_batch') await checkMixed(each);
  else if (json.kind === 'weighted') await checkWeighted(each);
  else if (json.kind === 'arrow') await checkRouted(each);
  else {
    await checkForward(each);
    if (json.kind === 'svd_init') await checkStart(each);
    await checkTraining(each);
    await checkWritten(each);
  }
  return each.comparison.result();
}

/** With all of its columns, padding among them. */
function packPadded(task: Task, batch: TaskBatch, startId: number): PackedTask {
  const whole = { ...batch, attention_mask: batch.attention_mask.map((row) => row.map(() => 1)) };
  return {
    ...packTask(task, whole, startId),
    batch: keepPadding(batch),
    counted: batch.attention_mask,
  };
}

/** Classes of a head that the adapter brings along for a checkpoint without one. */
function outputsIn(folder: string): number | undefined {
  const path = join(folder, 'adapter_model.safetensors');
  if (!existsSync(path)) return undefined;
  const store = openSafetensors(path);
  try {
    return store
      .names()
      .flatMap((name) =>
        /(^|\.)(score|classifier)\.weight$/.test(name) ? [store.get(name)!.shape[0]!] : [],
      )[0];
  } finally {
    store.close();
  }
}

function peftTypeIn(folder: string): string {
  const path = [folder, join(folder, 'a')]
    .map((place) => join(place, 'adapter_config.json'))
    .find((file) => existsSync(file))!;
  return (JSON.parse(readFileSync(path, 'utf8')) as { peft_type: string }).peft_type;
}
