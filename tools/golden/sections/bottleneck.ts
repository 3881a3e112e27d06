/** adapter-hub's adapters: loaded, run, trained for six steps, and written again. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PeftError } from '@peft/core';
import { Comparison } from '../comparison.js';
import { readGoldenCase, type GoldenContext, type GoldenResult } from '../golden-case.js';
import { keepPadding } from '../packed.js';
import { isKnownModel, openModel, packTask, type PackedTask, type TaskBatch } from '../task.js';
import type { BottleneckCase, Check } from './bottleneck/bottleneck-case.js';
import { checkTraining } from './bottleneck/check-training.js';
import { checkWritten } from './bottleneck/check-written.js';

/** What a case may be refused for, without having failed. */
const UNSUPPORTED = ['PEFT_METHOD_UNKNOWN', 'PEFT_CONFIG_UNSUPPORTED'];

export async function check(
  folder: string,
  { fixtures, engine }: GoldenContext,
): Promise<GoldenResult> {
  const golden = readGoldenCase(folder);
  const json = golden.json as unknown as BottleneckCase;
  const base = join(fixtures, json.base);
  if (!isKnownModel(base)) return { status: 'unsupported', detail: `the model ${json.base}` };
  const startId = Number(
    (JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as Record<string, unknown>)[
      'decoder_start_token_id'
    ] ?? 0,
  );
  const hasGates = /"use_gating":true/.test(JSON.stringify(json.config));
  const pack = (batch: TaskBatch): PackedTask => {
    const packed = packTask(json.task, batch, startId);
    // the library's gates are means over padding, too
    return hasGates && json.task === 'seqcls' ? { ...packed, batch: keepPadding(batch) } : packed;
  };
  const each: Check = {
    folder,
    json,
    comparison: new Comparison(golden),
    open: () => openModel(base, json.task, engine),
    pack,
  };
  try {
    await checkTraining(each);
    await checkWritten(each);
  } catch (error) {
    if (error instanceof PeftError && UNSUPPORTED.includes(error.code))
      return { status: 'unsupported', detail: error.message.split('\n')[0]! };
    throw error;
  }
  return each.comparison.result();
}
