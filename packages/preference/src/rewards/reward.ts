/** Rewards of what a model wrote: functions, several of them weighted. */
import { PeftError, show } from '@peft/errors';
import type { Content } from '../data/preference-rows.js';

/** What a reward judges. */
export interface RewardSample {
  readonly prompt: Content;
  /** What the model wrote, special tokens left out. */
  readonly completion: string;
  readonly completionIds: readonly number[];
  /** Why it ends: an end token, or as many tokens as were allowed. */
  readonly finishReason: string;
  /** All cells of the prompt's row, by column. */
  readonly row: Readonly<Record<string, unknown>>;
}

/** A finite number: the more, the better. */
export type RewardFunction = (sample: RewardSample) => number | Promise<number>;

/** A reward with its name in metrics and its weight. */
export interface Reward {
  readonly name: string;
  readonly score: RewardFunction;
  /** Default 1. */
  readonly weight?: number;
}

/**
 * Scores of samples, by reward.
 * @returns `[rewards][samples]`
 * @throws PEFT_REWARD_FAILED when a reward throws, PEFT_REWARD_INVALID when it gives no finite number
 */
export async function scoreSamples(
  rewards: readonly Reward[],
  samples: readonly RewardSample[],
): Promise<Float64Array[]> {
  const scores: Float64Array[] = [];
  for (const reward of rewards) {
    const made = new Float64Array(samples.length);
    for (const [i, sample] of samples.entries()) made[i] = await scoreOf(reward, sample);
    scores.push(made);
  }
  return scores;
}

async function scoreOf({ name, score }: Reward, sample: RewardSample): Promise<number> {
  let value: unknown;
  try {
    value = await score(sample);
  } catch (cause) {
    throw new PeftError(
      'PEFT_REWARD_FAILED',
      `preference: the reward ${show(name)} failed on the completion ${show(sample.completion)}: ` +
        `${cause instanceof Error ? cause.message : String(cause)}`,
      {
        hint: 'a reward must bear any text; a run that was saved before goes on from its checkpoint',
        cause,
      },
    );
  }
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new PeftError(
    'PEFT_REWARD_INVALID',
    `preference: the reward ${show(name)} gave ${show(value)} for the completion ${show(sample.completion)}.`,
    { hint: 'return a finite number; a run that was saved before goes on from its checkpoint' },
  );
}
