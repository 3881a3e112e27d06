/** The pooled hidden state as a prediction. */
import { pool, type ModelBatch, type ModelOutput } from '@peft/core';
import { PeftError } from '@peft/errors';
import { readValues } from '@peft/ops';
import type { Task } from '@peft/trainer';
import type { PredictorTask } from './predictor-task.js';

export const EMBEDDING: Task<ModelBatch, Float32Array> = Object.freeze({
  name: 'embedding',
  count: ({ offsets }: ModelBatch) => offsets.length - 1,
  loss: () => {
    throw new PeftError('PEFT_TASK_LABELS', 'embedding: it has no loss.');
  },
  predict: async (output: ModelOutput) => {
    // a family's own classifier keeps what it reads to itself: its first token, before a pooler
    const pooled = output.pooled ?? pool(output, 'first');
    const [rows, width] = pooled.shape;
    const values = await readValues(pooled); // [B, D]: what was asked for
    return Array.from({ length: rows }, (_, b) => values.slice(b * width, (b + 1) * width));
  },
});

/** @throws PEFT_PROBLEM_TYPE for tasks whose rows have no embedding */
export function embedderOf({ name, embed }: PredictorTask): NonNullable<PredictorTask['embed']> {
  if (embed) return embed;
  throw new PeftError('PEFT_PROBLEM_TYPE', `predictor: ${name} has no embedding of whole rows.`, {
    hint: 'use predict',
  });
}
