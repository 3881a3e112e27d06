/** Language models that learn from rewards of what they write (GRPO). */
import { tableFromRows, turnEndIds, type Table } from '@peft/data';
import { PeftError } from '@peft/errors';
import {
  groupPolicy,
  promptData,
  scoreSamples,
  type PromptRow,
  type Reward,
  type RewardScale,
} from '@peft/preference';
import type { Prompt } from '@peft/generation';
import type { Task } from '@peft/trainer';
import { tellRows } from '../../data/tell-rows.js';
import type { BaseModel } from '../../model/base-model.js';
import { chatTemplateOf } from '../../model/chat-template.js';
import type { Hyperparameters } from '../../settings/hyperparameter-types.js';
import type { DataTools, PredictorTask, TaskTools, WatchedMetric } from '../predictor-task.js';
import type { TaskRecord } from '../task-record.js';
import { textLength } from '../text-length.js';
import { tokenEnds, writeTexts } from '../write-texts.js';
import { promptsOf, writtenPrompt } from './prompts.js';

export type GrpoRecord = Extract<TaskRecord, { name: 'grpo' }>;

const NAME = 'grpo';
const REWARD: WatchedMetric = Object.freeze({
  name: 'reward',
  greaterIsBetter: true,
  optimum: Infinity,
});

/** What of a task there is beside its record. */
interface GrpoParts {
  /** None after loading: a function is not saved. */
  readonly rewards: readonly Reward[];
  /** Columns of the training table: rewards may read all of them. */
  readonly columns?: readonly string[];
  /** The opened base. */
  readonly base?: BaseModel;
}

/** @param record columns by role: `prompt`. */
export function grpoTask(record: GrpoRecord, parts: GrpoParts): PredictorTask {
  const { rewards, base } = parts;
  const prompt = record.columns['prompt']!;
  const rowsOf = (table: Table): PromptRow[] => {
    const prompts = promptsOf(table, prompt);
    return prompts.map((each, row) => ({ prompt: each, cells: cellsOf(table, row) }));
  };
  return Object.freeze<PredictorTask>({
    name: NAME,
    record,
    columns: parts.columns ?? [prompt],
    inputs: [prompt],
    head: () => ({ kind: 'causal-lm' }),
    judgedBy: (given) => grpoTask(record, { ...parts, rewards: given }),
    forBase: (opened) => grpoTask(record, { ...parts, base: opened }),
    loss: (settings) => policyOf(settings, rewards, base),
    async examples(table, tools) {
      const { settings } = tools;
      const data = await promptData(rowsOf(table), {
        tokenizer: tools.base.tokenizer,
        template: () => chatTemplateOf(tools),
        maxLength: textLength(tools),
        maxNewTokens: settings['model.hf_text.max_target_len'],
        groupSize: settings['optim.group_size'],
        signal: tools.signal,
      });
      tellRows(tools, table, { skipped: data.skipped, cut: data.skipped }, [
        'model.hf_text.max_text_len',
      ]);
      return data;
    },
    metric: (given: string | WatchedMetric = REWARD) => {
      if (typeof given !== 'string') return given;
      if (given.toLowerCase() === REWARD.name) return REWARD;
      throw new PeftError('PEFT_METRIC_UNKNOWN', `predictor: grpo has no metric "${given}".`, {
        hint: 'it is scored by the mean reward of its likeliest completions: reward',
      });
    },
    checkRows: (table) => void promptsOf(table, prompt),
    comparesWithBase: (settings) => settings['optim.kl_weight'] > 0,
    scorer(table, _, tools) {
      requireRewards(rewards);
      const rows = rowsOf(table);
      return Promise.resolve(async (signal) => {
        const texts = await writtenTexts(rows, { ...tools, signal });
        const { tokenizer } = tools.base;
        const scores = await scoreSamples(
          rewards,
          rows.map(({ prompt: asked, cells }, row) => ({
            prompt: asked,
            completion: texts[row]!,
            completionIds: tokenizer.ids(texts[row]!),
            finishReason: 'end',
            row: cells,
          })),
        );
        const mean = (values: Float64Array): number =>
          values.reduce((sum, value) => sum + value, 0) / rows.length;
        return {
          metrics: {
            [REWARD.name]: rewards.reduce(
              (sum, { weight = 1 }, k) => sum + weight * mean(scores[k]!),
              0,
            ),
            ...Object.fromEntries(
              rewards.map(({ name }, k) => [`rewards/${name}`, mean(scores[k]!)]),
            ),
          },
          examples: rows.length,
          predictions: texts,
        };
      });
    },
    predict: (table, tools, writing) => writtenTexts(rowsOf(table), tools, writing),
    rowsOfTexts: (texts) =>
      tableFromRows(
        texts.map((text) => ({ [prompt]: text })),
        'texts',
      ),
  });
}

const writtenTexts = (
  rows: readonly PromptRow[],
  tools: TaskTools,
  writing?: Parameters<typeof writeTexts>[2],
): Promise<string[]> =>
  writeTexts(
    rows.map(({ prompt }): Prompt => writtenPrompt(prompt, tools)),
    tools,
    writing,
    { endIds: rows.some(({ prompt }) => typeof prompt !== 'string') ? chatEnds(tools) : [] },
  );

const chatEnds = (tools: Pick<DataTools, 'base'>): readonly number[] =>
  turnEndIds(chatTemplateOf(tools), tools.base.tokenizer);

const cellsOf = (table: Table, row: number): Record<string, unknown> =>
  Object.fromEntries(table.columns.map((column) => [column, table.values(column)[row]]));

/** @throws PEFT_REWARD_MISSING before a base is open, or without rewards */
function policyOf(
  settings: Hyperparameters,
  rewards: readonly Reward[],
  base: BaseModel | undefined,
): Task {
  requireRewards(rewards);
  const ends = base ? tokenEnds({ base }).endIds : [];
  return groupPolicy({
    rewards,
    tokenizer: base!.tokenizer,
    endIds: base && hasTemplate(base) ? [...new Set([...ends, ...chatEnds({ base })])] : ends,
    groupSize: settings['optim.group_size'],
    maxNewTokens: settings['model.hf_text.max_target_len'],
    loss: settings['optim.policy_loss'],
    klWeight: settings['optim.kl_weight'],
    rewardScale: settings['optim.reward_scale'] as RewardScale,
    // folders of earlier versions have none of these
    updates: settings['optim.policy_updates'] ?? 1,
    clipLow: settings['optim.clip_low'] ?? undefined,
    clipHigh: settings['optim.clip_high'] ?? undefined,
  });
}

function hasTemplate(base: BaseModel): boolean {
  try {
    chatTemplateOf({ base });
    return true;
  } catch (error) {
    if (error instanceof PeftError) return false;
    throw error;
  }
}

function requireRewards(rewards: readonly Reward[]): void {
  if (rewards.length > 0) return;
  throw new PeftError('PEFT_REWARD_MISSING', 'predictor: grpo was given no reward.', {
    hint:
      'give fit or evaluate the option rewards: [{ name, score }] (CLI: --reward FILE); ' +
      'a saved predictor has none',
  });
}
