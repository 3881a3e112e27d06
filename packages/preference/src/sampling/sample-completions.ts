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
 * @param draw names the random numbers beside row and place: seed and step of a run.
 */
export async function sampleGroups(
  model: Model,
  { inputIds, offsets, rows }: PromptBatch,
  { maxNewTokens, endIds, groupSize }: SamplingOptions,
  draw: { readonly seed: number; readonly step: number; readonly signal?: AbortSignal | undefined },
): Promise<SampledGroup[]> {
  const groups: SampledGroup[] = [];
  for (const [i, row] of rows.entries()) {
    const prompt = [...inputIds.slice(offsets[i], offsets[i + 1])];
    const key = randomKey(draw.seed, 'sample', draw.step, row);
    const completions = await generate(
      model,
      Array.from({ length: groupSize }, () => prompt),
      {
        maxNewTokens,
        endIds,
        temperature: 1,
        seed: Math.floor(randomUniform(key, 0) * 2 ** 32),
        signal: draw.signal,
      },
    );
    groups.push({ prompt, row, completions });
  }
  return groups;
}
