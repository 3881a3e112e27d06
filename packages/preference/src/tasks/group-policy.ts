/**
 * GRPO: the model writes a group of completions to each prompt, rewards judge them, and those that are
 * better than their group become likelier. Completions are drawn by the adapter as it is at the start
 * of a step (one update per sampling, so that ρ = 1 where it is computed); the penalty's reference is
 * the base with the adapters that train switched off.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor1D } from '@tensorflow/tfjs';
import type { Model, ModelOutput, RunOptions } from '@peft/core';
import { NO_LABEL, tokenData } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import type { Generated } from '@peft/generation';
import type { CausalBatch, Report, StepPlan, Task } from '@peft/trainer';
import type { PromptBatch } from '../data/prompt-data.js';
import { answerCosts, sequenceOfTokens } from '../log-probabilities/answer-costs.js';
import { onReference } from '../log-probabilities/reference.js';
import { lossNamed } from '../losses/loss-named.js';
import type { PolicyLoss } from '../losses/policy/policy-loss.js';
import { POLICY_LOSSES } from '../losses/policy/policy-losses.js';
import { policySurrogate } from '../losses/policy/policy-surrogate.js';
import { advantages, deviation, REWARD_SCALES, type RewardScale } from '../rewards/advantages.js';
import { scoreSamples, type Reward, type RewardSample } from '../rewards/reward.js';
import {
  sampleGroups,
  type SampledGroup,
  type SamplingOptions,
} from '../sampling/sample-completions.js';

/** How completions are drawn, judged and learnt from. */
export interface GroupPolicyOptions extends SamplingOptions {
  /** At least one. */
  readonly rewards: readonly Reward[];
  /** One of {@link POLICY_LOSSES} by its name, or a way of counting of your own. Default `dapo`. */
  readonly loss?: string | PolicyLoss | undefined;
  /** β of the penalty for leaving the reference. Default 0: none. */
  readonly klWeight?: number | undefined;
  /** ε. Default 0.2. */
  readonly clipLow?: number | undefined;
  /** ε'. Default: that of `clipLow`. */
  readonly clipHigh?: number | undefined;
  /** What advantages are divided by. Default `group`. */
  readonly rewardScale?: RewardScale | undefined;
}

/** Completions behind their prompts, one sequence each. */
export interface PolicyBatch extends CausalBatch {
  /** A of each completion `[B]`. */
  readonly advantages: Float32Array;
  /** ln π_old of each labelled token, in the batch's order; none for the policy itself. */
  readonly old?: Float32Array | undefined;
  /** ln π_ref of each labelled token. */
  readonly reference?: Float32Array | undefined;
  /** Sums over the completions, by name. */
  readonly measures?: Readonly<Record<string, { readonly sum: number; readonly count: number }>>;
}

const NAME = 'grpo';

/**
 * The task of writing what is rewarded. Its data are prompts; it samples when a step is prepared.
 * @throws PEFT_CONFIG_INVALID; a step PEFT_REWARD_FAILED, PEFT_REWARD_INVALID
 */
export function groupPolicy(options: GroupPolicyOptions): Task<PromptBatch, never> {
  const { rewards, groupSize, maxNewTokens, klWeight = 0, clipLow = 0.2 } = options;
  const { clipHigh = clipLow, rewardScale = 'group' } = options;
  const loss = lossNamed(NAME, options.loss ?? 'dapo', POLICY_LOSSES);
  check.oneOf(NAME, 'rewardScale', rewardScale, REWARD_SCALES);
  for (const [field, value] of Object.entries({ clipLow, clipHigh, maxNewTokens }))
    check.positive(NAME, field, value);
  if (klWeight !== 0) check.positive(NAME, 'klWeight', klWeight);
  if (rewards.length === 0 || groupSize < 2)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${NAME}: ${rewards.length} rewards and groups of ${groupSize} were given.`,
      { hint: 'a group of at least 2 completions is compared by at least one reward' },
    );
  const policy = policyLoss({ loss, klWeight, clipLow, clipHigh, maxNewTokens });

  async function sampled(model: Model, batch: PromptBatch, step: StepPlan) {
    const groups = await sampleGroups(model, batch, options, step);
    const samples = groups.flatMap(({ completions }, i) =>
      completions.map(({ ids, finishReason }): RewardSample => {
        const { prompt, cells } = batch.sources[i]!;
        const completion = options.tokenizer.decode(ids, { skipSpecialTokens: true });
        return { prompt, completion, completionIds: ids, finishReason, row: cells };
      }),
    );
    const scores = await scoreSamples(rewards, samples);
    const totals = Float64Array.from(samples, (_, i) =>
      rewards.reduce((sum, { weight = 1 }, k) => sum + weight * scores[k]![i]!, 0),
    );
    return { groups, totals, measures: measuresOf({ groups, totals, scores, rewards }) };
  }

  /** What nothing has prepared stands for the longest completions: a plan of memory asks for it. */
  const completed = (batch: PromptBatch | PolicyBatch): PolicyBatch =>
    'advantages' in batch ? batch : longestCompletions(batch, options);
  const task = {
    ...policy,
    forward: (model: Model, batch: PromptBatch | PolicyBatch, run: RunOptions) =>
      policy.forward!(model, completed(batch), run),
    loss: (output: ModelOutput, batch: PromptBatch | PolicyBatch, report?: Report) =>
      policy.loss(output, completed(batch), report),
    name: NAME,
    settings: {
      loss: loss.name,
      rewards: rewards.map(({ name, weight = 1 }) => [name, weight]),
      groupSize,
      maxNewTokens,
      klWeight,
      clipLow,
      clipHigh,
      rewardScale,
    },
    async prepare(model: Model, batches: readonly PromptBatch[], step: StepPlan) {
      const made = await step.share(batches.length, (i) => sampled(model, batches[i]!, step));
      const all = advantages(
        made.flatMap(({ totals }) => [...totals]),
        groupSize,
        rewardScale,
      );
      const packed = made.map(({ groups }) => packGroups(groups));
      const references =
        klWeight === 0
          ? []
          : await step.share(packed.length, (i) => tokenReference(model, packed[i]!));
      let start = 0;
      return made.map(({ totals, measures }, i): PolicyBatch => ({
        ...packed[i]!,
        advantages: all.slice(start, (start += totals.length)),
        reference: references[i],
        measures,
      }));
    },
  };
  // what runs has been prepared: prompts go in, completions are counted
  return Object.freeze(task) as unknown as Task<PromptBatch, never>;
}

/** Count and loss of completions that were sampled. */
export function policyLoss(settings: {
  readonly loss: PolicyLoss;
  readonly klWeight: number;
  readonly clipLow: number;
  readonly clipHigh: number;
  readonly maxNewTokens: number;
}): Pick<Task<PolicyBatch, never>, 'count' | 'forward' | 'loss' | 'predict'> {
  const { loss, maxNewTokens } = settings;
  return {
    count: (batch) => loss.count(completionLengths(batch), maxNewTokens),
    forward: (model, batch, run) => model.forward(batch, { ...run, logitRows: 'none' }),
    loss(output, batch, report) {
      const costs = answerCosts(NAME, output, batch);
      const lengths = completionLengths(batch);
      const sequences = sequenceOfTokens(batch.offsets);
      const places = costs.losses.shape[0];
      const spread = (valueOf: (target: number, sequence: number) => number): Float32Array => {
        const values = new Float32Array(places);
        costs.places.forEach((place, t) => {
          values[place] = valueOf(t, sequences[costs.tokens[t]!]!);
        });
        return values;
      };
      const { old, reference } = batch;
      const {
        loss: sum,
        isClipped,
        kl,
      } = policySurrogate(
        {
          logProbabilities: tf.neg(costs.losses) as Tensor1D,
          old: old && spread((t) => old[t]!),
          reference: reference && spread((t) => reference[t]!),
          advantages: spread((_, b) => batch.advantages[b]!),
          weights: spread((_, b) => loss.tokenWeight(lengths[b]!)),
        },
        settings,
      );
      if (report) {
        const meanOf = (values: Float32Array) => ({
          sum: costs.places.reduce((total, place) => total + values[place]!, 0),
          count: costs.places.length,
        });
        report({ clip_ratio: meanOf(isClipped), ...batch.measures });
        if (kl) report({ kl: meanOf(kl) });
      }
      return sum as Scalar;
    },
    predict: () => {
      throw new PeftError('PEFT_TASK_LABELS', `${NAME}: it predicts nothing; generate texts.`);
    },
  };
}

/** ln π_ref of each labelled token, outside the tape. */
export function tokenReference(model: Model, batch: CausalBatch): Float32Array {
  return onReference(model, () =>
    tf.tidy(() => {
      const output: ModelOutput = model.forward(batch, { logitRows: 'none' });
      const { losses, places } = answerCosts(NAME, output, batch);
      const values = losses.dataSync<'float32'>(); // numbers that the loss compares with
      return Float32Array.from(places, (place) => -values[place]!);
    }),
  );
}

/** Labelled tokens of each sequence. */
function completionLengths({ tokenLabels, offsets }: CausalBatch): number[] {
  return Array.from(offsets.slice(1), (end, b) =>
    tokenLabels
      .slice(offsets[b]! + 1, end)
      .reduce((sum, label) => sum + (label === NO_LABEL ? 0 : 1), 0),
  );
}

function packGroups(groups: readonly SampledGroup[]): CausalBatch {
  const sequences = groups.flatMap(({ prompt, completions }) =>
    completions.map(({ ids }) => ({
      inputIds: [...prompt, ...ids],
      labels: [...prompt.map(() => NO_LABEL), ...ids],
    })),
  );
  return tokenData(sequences.map((sequence) => [sequence])).pack([...sequences.keys()]);
}

/** Each prompt with a group of completions as long as they may be. */
function longestCompletions(
  { inputIds, offsets, rows }: PromptBatch,
  { groupSize, maxNewTokens }: SamplingOptions,
): PolicyBatch {
  const groups = Array.from(rows, (row, i): SampledGroup => {
    const prompt = [...inputIds.slice(offsets[i], offsets[i + 1])];
    const ids = Array.from({ length: maxNewTokens }, () => prompt[0]!);
    const completion: Generated = { ids, finishReason: 'length' };
    return { prompt, row, completions: Array.from({ length: groupSize }, () => completion) };
  });
  return {
    ...packGroups(groups),
    advantages: new Float32Array(rows.length * groupSize).fill(1),
  };
}

interface Judged {
  readonly groups: readonly SampledGroup[];
  readonly totals: Float64Array;
  readonly scores: readonly Float64Array[];
  readonly rewards: readonly Reward[];
}

function measuresOf({ groups, totals, scores, rewards }: Judged) {
  const count = totals.length;
  const sumOf = (values: Iterable<number>): number => {
    let sum = 0;
    for (const value of values) sum += value;
    return sum;
  };
  const size = count / groups.length;
  const spreads = groups.map((_, g) => deviation([...totals.slice(g * size, (g + 1) * size)]));
  const lengths = groups.flatMap(({ completions }) => completions.map(({ ids }) => ids.length));
  return {
    reward: { sum: sumOf(totals), count },
    reward_std: { sum: sumOf(spreads), count: groups.length },
    'lengths/completions': { sum: sumOf(lengths), count },
    ...Object.fromEntries(
      rewards.map(({ name }, k) => [`rewards/${name}`, { sum: sumOf(scores[k]!), count }]),
    ),
  };
}
