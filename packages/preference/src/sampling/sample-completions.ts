/**
 * Groups of completions, drawn by the model as it is. What is drawn is a function of the run's seed,
 * the step, the prompt's row and the place in its group: there is no other state of the sampler, so
 * that a resumed run draws the same, and a split into micro-batches changes nothing.
 */
import type { Model } from '@peft/core';
import type { TextTokenizer } from '@peft/data';
import { generate, type Generated } from '@peft/generation';
import { randomKey, randomUniform } from '@peft/ops';
import type { PromptBatch } from '../data/prompt-data.js';

/** How completions are drawn. */
export interface SamplingOptions {
  readonly tokenizer: TextTokenizer;
  /** Tokens of a completion at most. */
  readonly maxNewTokens: number;
  /** Tokens that end a completion. */
  readonly endIds: readonly number[];
  /** Completions of a prompt. */
  readonly groupSize: number;
}

/** A prompt's completions. */
export interface SampledGroup {
  readonly prompt: readonly number[];
  readonly row: number;
  readonly completions: readonly Generated[];
}

/**
 * Draws from softmax(logits) itself, whose log-probabilities the loss has: temperature 1, all tokens.
 * All prompts of the batch are written on at once, each read once for its group.
 * @param draw names the random numbers beside row and place: seed and step of a run.
 */
export async function sampleGroups(
  model: Model,
  { inputIds, offsets, rows }: PromptBatch,
  { maxNewTokens, endIds, groupSize }: SamplingOptions,
  draw: { readonly seed: number; readonly step: number; readonly signal?: AbortSignal | undefined },
): Promise<SampledGroup[]> {
  const prompts = Array.from(rows, (_, i) => [...inputIds.slice(offsets[i], offsets[i + 1])]);
  const places = prompts.flatMap((prompt, i) =>
    Array.from({ length: groupSize }, (_, place) => ({ prompt, row: rows[i]!, place })),
  );
  const completions = await generate(
    model,
    places.map(({ prompt }) => prompt),
    {
      maxNewTokens,
      endIds,
      temperature: 1,
      withLogProbabilities: true,
      seeds: places.map(({ row, place }) => {
        const key = randomKey(draw.seed, 'sample', draw.step, row);
        return Math.floor(randomUniform(key, place) * 2 ** 32);
      }),
      signal: draw.signal,
    },
  );
  return prompts.map((prompt, i) => ({
    prompt,
    row: rows[i]!,
    completions: completions.slice(i * groupSize, (i + 1) * groupSize),
  }));
}
