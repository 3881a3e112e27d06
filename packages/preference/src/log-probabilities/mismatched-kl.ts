/**
 * KTO's z: how far policy and reference are apart on answers to other prompts,
 *
 *   z = max(0, (1/B)·Σ_i ln π(y_{i−1}|x_i) − ln π_ref(y_{i−1}|x_i))
 *
 * over the B rows of a step in the order of their numbers, the answer of the last standing behind
 * the first prompt. Without gradient and dropout. (TRL rotates the rows of each device's batch.)
 */
import { tokenData } from '@peft/data';
import type { Model } from '@peft/core';
import type { StepPlan } from '@peft/trainer';
import type { UnpairedBatch } from '../data/unpaired-data.js';
import { referenceLogProbabilities, sequenceLogProbabilities } from './reference.js';
import type { ReferenceCache } from './reference-cache.js';

export async function mismatchedKl(
  task: string,
  model: Model,
  batches: readonly UnpairedBatch[],
  cache: ReferenceCache,
  step: StepPlan,
): Promise<number> {
  const rows = batches
    .flatMap(({ answers, rows: numbers, cut }) =>
      answers.map((answer, i) => ({ answer, row: numbers[i]!, cut })),
    )
    .sort((a, b) => a.row - b.row);
  const sequences = rows
    .map(({ answer: { ids, start }, cut }, i) => {
      const { answer: other } = rows.at(i - 1)!;
      return cut({ ids: [...ids.slice(0, start), ...other.ids.slice(other.start)], start });
    })
    .filter(({ isLearnt }) => isLearnt);
  const data = tokenData(sequences.map((sequence) => [sequence]));
  const size = Math.max(...batches.map(({ answers }) => answers.length));
  const numbers = [...sequences.keys()];
  const chunks = Array.from({ length: Math.ceil(numbers.length / size) }, (_, c) =>
    data.pack(numbers.slice(c * size, (c + 1) * size)),
  );
  const policy = await step.share(chunks.length, (c) =>
    sequenceLogProbabilities(task, model, chunks[c]!),
  );
  const reference = await referenceLogProbabilities(task, model, chunks, { cache, group: 1 }, step);
  let sum = 0;
  for (const [c, values] of policy.entries())
    values.forEach((value, i) => (sum += value - reference[c]![i]!));
  return Math.max(0, sum / Math.max(1, rows.length));
}
