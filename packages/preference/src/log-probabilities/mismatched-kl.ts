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
import type { UnpairedBatch } from '../data/unpaired-data.js';
import { referenceLogProbabilities, sequenceLogProbabilities } from './reference.js';
import type { ReferenceCache } from './reference-cache.js';

export function mismatchedKl(
  task: string,
  model: Model,
  batches: readonly UnpairedBatch[],
  cache: ReferenceCache,
): number {
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
  let sum = 0;
  for (let start = 0; start < sequences.length; start += size) {
    const chosen = [...sequences.keys()].slice(start, start + size);
    const batch = data.pack(chosen);
    const policy = sequenceLogProbabilities(task, model, batch);
    const reference = referenceLogProbabilities(task, model, batch, cache);
    policy.forEach((value, i) => (sum += value - reference[i]!));
  }
  return Math.max(0, sum / Math.max(1, rows.length));
}
