/**
 * GRPO: the model writes a group of completions to each prompt, rewards judge them, and those that are
 * better than their group become likelier. Completions are drawn by the adapter as it is at the start
 * of a step, which `updates` steps in a row learn from; π_old is the one that drew them, so that ρ = 1 in
 * the first. The penalty's reference is the base with the adapters that train switched off.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor1D } from '@tensorflow/tfjs';
import type { Model, ModelOutput, RunOptions } from '@peft/core';
import { NO_LABEL, tokenData } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import type { Generated } from '@peft/generation';
import { readInScope, readValues } from '@peft/ops';
import type { CausalBatch, Measure, Report, StepPlan, Task } from '@peft/trainer';
import type { PromptBatch } from '../data/prompt-data.js';
import { answerCosts, sequenceOfTokens } from '../log-probabilities/answer-costs.js';
import { onReference } from '../log-probabilities/reference.js';
import { forwardShared, watchSharing } from '../log-probabilities/shared-starts.js';
import { lossNamed } from '../losses/loss-named.js';
import type { PolicyLoss } from '../losses/policy/policy-loss.js';
import { POLICY_LOSSES } from '../losses/policy/policy-losses.js';
import { policySurrogate } from '../losses/policy/policy-surrogate.js';
import { advantages, deviation, REWARD_SCALES, type RewardScale } from '../rewards/advantages.js';
import { scoreSamples, type Reward, type RewardSample } from '../rewards/reward.js';
import { readSamples, samplesState, type HeldSamples } from '../sampling/held-samples.js';
import type { PolicyBatch } from '../sampling/policy-batch.js';
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
  /**
   * Steps that learn from the same completions (TRL's `num_iterations`); the run's order must be that
   * of `repeatBatches`. Default 1.
   */
  readonly updates?: number | undefined;
}

const NAME = 'grpo';

/**
 * The task of writing what is rewarded. Its data are prompts; it samples when a step is prepared.
 * @throws PEFT_CONFIG_INVALID; a step PEFT_REWARD_FAILED, PEFT_REWARD_INVALID
 */
export function groupPolicy(options: GroupPolicyOptions): Task<PromptBatch, never> {
  const { rewards, groupSize, maxNewTokens, klWeight = 0, clipLow = 0.2 } = options;
  const { clipHigh = clipLow, rewardScale = 'group', updates = 1 } = options;
  const loss = lossNamed(NAME, options.loss ?? 'dapo', POLICY_LOSSES);
  check.oneOf(NAME, 'rewardScale', rewardScale, REWARD_SCALES);
  for (const [field, value] of Object.entries({ clipLow, clipHigh, maxNewTokens }))
    check.positive(NAME, field, value);
  if (klWeight !== 0) check.positive(NAME, 'klWeight', klWeight);
  check.positiveInteger(NAME, 'updates', updates);
  if (rewards.length === 0 || groupSize < 2)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${NAME}: ${rewards.length} rewards and groups of ${groupSize} were given.`,
      { hint: 'a group of at least 2 completions is compared by at least one reward' },
    );
  const policy = policyLoss({ loss, klWeight, clipLow, clipHigh, maxNewTokens });
  let held: HeldSamples | undefined;

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
      forwardShared(model, completed(batch), groupSize, { ...run, logitRows: 'none' }),
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
      ...(updates > 1 && { updates }),
    },
    state: () => held && samplesState(held),
    restore(state: unknown) {
      held = state === undefined ? undefined : readSamples(state);
    },
    async prepare(model: Model, batches: readonly PromptBatch[], step: StepPlan) {
      watchSharing(model, step);
      const sampledAt = step.step - (step.step % updates);
      if (sampledAt !== step.step) return heldFor(held, sampledAt, batches);
      const drawn = await draw(model, batches, step);
      if (updates > 1) held = { step: step.step, batches: drawn };
      return drawn;
    },
  };
  // what runs has been prepared: prompts go in, completions are counted
  return Object.freeze(task) as unknown as Task<PromptBatch, never>;

  async function draw(model: Model, batches: readonly PromptBatch[], step: StepPlan) {
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
        : await step.share(packed.length, (i) => tokenReference(model, packed[i]!, groupSize));
    let start = 0;
    return made.map(({ groups, totals, measures }, i): PolicyBatch => ({
      ...packed[i]!,
      prompts: batches[i]!.rows,
      advantages: all.slice(start, (start += totals.length)),
      reference: references[i],
      old: updates > 1 ? oldOf(groups) : undefined,
      measures,
    }));
  }
}

/** ln π of each token by the model that drew it. */
const oldOf = (groups: readonly SampledGroup[]): Float32Array =>
  Float32Array.from(
    groups.flatMap(({ completions }) =>
      completions.flatMap(({ logProbabilities }) => logProbabilities!),
    ),
  );

/** @throws PEFT_CONFIG_INVALID for an order that does not repeat its batches */
function heldFor(
  held: HeldSamples | undefined,
  step: number,
  batches: readonly PromptBatch[],
): readonly PolicyBatch[] {
  const isSame =
    held?.step === step &&
    held.batches.length === batches.length &&
    held.batches.every(({ prompts }, i) => String(prompts) === String(batches[i]!.rows));
  if (isSame) return held.batches;
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `${NAME}: a step is to learn from the completions of step ${step + 1}, which had other prompts.`,
    { hint: 'with updates > 1 give the run the order repeatBatches(order, updates)' },
  );
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
        const meanOf = async (tensor: Tensor1D): Promise<Measure> => {
          const values = await readValues(tensor);
          return {
            sum: costs.places.reduce((total, place) => total + values[place]!, 0),
            count: costs.places.length,
          };
        };
        report(meanOf(isClipped).then((mean) => ({ clip_ratio: mean, ...batch.measures })));
        if (kl) report(meanOf(kl).then((mean) => ({ kl: mean })));
      }
      return sum as Scalar;
    },
    predict: () => {
      throw new PeftError('PEFT_TASK_LABELS', `${NAME}: it predicts nothing; generate texts.`);
    },
  };
}

/**
 * ln π_ref of each labelled token, outside the tape.
 * @param groupSize sequences in turn that begin with the same prompt.
 */
export const tokenReference = (
  model: Model,
  batch: CausalBatch,
  groupSize = 1,
): Promise<Float32Array> =>
  onReference(model, () =>
    readInScope(async () => {
      const output = forwardShared(model, batch, groupSize, { logitRows: 'none' });
      const { losses, places } = answerCosts(NAME, output, batch);
      const values = await readValues(losses); // numbers that the loss compares with
      return Float32Array.from(places, (place) => -values[place]!);
    }),
  );

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
    const [id] = prompt as [number];
    const other = id > 0 ? id - 1 : 1;
    // the first of them shares nothing with the others but the prompt
    const completions = Array.from({ length: groupSize }, (_, place): Generated => ({
      ids: Array.from({ length: maxNewTokens }, () => (place === 0 ? id : other)),
      finishReason: 'length',
    }));
    return { prompt, row, completions };
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
