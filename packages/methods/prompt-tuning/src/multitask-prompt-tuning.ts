/**
 * Multitask prompt tuning (Wang et al. 2023): one prompt for all tasks, and for each task a factor of
 * low rank: a sequence of task t gets x' = [E ⊙ (C_t·R_t), x], E `[P, D]`, C_t `[P, r]`, R_t `[r, D]`.
 * PEFT calls it MULTITASK_PROMPT_TUNING.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  normal,
  zeros,
  type Initializer,
  type ModelDescription,
} from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { gatherRows } from '@peft/ops';
import { parsePrompt, promptTuning, startOf, type PromptTuningConfig } from './prompt-tuning.js';
import { ownRows, tokenTargets, totalTokens } from './virtual-tokens.js';

/** Parameters of a prompt that was trained on other tasks, row by row. */
export interface SourcePrompt {
  /** E `[P, D]`. */
  readonly embeddings: ArrayLike<number>;
  /** C of all source tasks `[tasks, P, r]`. */
  readonly columns: ArrayLike<number>;
  /** R of all source tasks `[tasks, r, D]`. */
  readonly rows: ArrayLike<number>;
}

/** Options of multitask prompt tuning, beside those of prompt tuning. */
export interface MultitaskPromptConfig extends Omit<PromptTuningConfig, 'init'> {
  /** Tasks; `taskIds` of a batch count from 0. Default 1, which needs no ids. */
  readonly tasks: number;
  /** r. Default 1. */
  readonly ranks: number;
  /**
   * Where E starts: as in prompt tuning, or all of it from `source`: with the mean of the source's
   * factors, with those of `sourceTask`, or with fresh ones. Default `random`.
   */
  readonly init: PromptTuningConfig['init'] | 'source-mean' | 'source-task' | 'source-shared';
  /** What the `source-…` starts read. */
  readonly source?: SourcePrompt;
  /** Which of the source's tasks `source-task` takes. Default 0. */
  readonly sourceTask: number;
  /** Where the source was read from, kept for the file. */
  readonly sourcePath?: string;
}

declare module '@peft/core' {
  interface PeftConfigs {
    'multitask-prompt-tuning': MultitaskPromptConfig;
  }
}

const OWNER = 'multitask-prompt-tuning';
const OWN_OPTIONS = ['tasks', 'ranks', 'source', 'sourceTask', 'sourcePath'];
const SOURCE_INITS = {
  'source-mean': 'AVERAGE_SOURCE_TASKS',
  'source-task': 'EXACT_SOURCE_TASK',
  'source-shared': 'ONLY_SOURCE_SHARED',
} as const;
type SourceInit = keyof typeof SOURCE_INITS;
const pathsOf = ({ sites }: ModelDescription): string[] =>
  sites.flatMap(({ kind, path }) => (kind === 'sequence' ? [path] : []));
const isSourceInit = (init: string): init is SourceInit => Object.hasOwn(SOURCE_INITS, init);

/**
 * The multitask prompt tuning method: `multitaskPromptTuning({ virtualTokens: 8, tasks: 3 })`.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; in a run PEFT_TASK_ID_MISSING and
 *   PEFT_TASK_ID_RANGE for batches without a task for each sequence
 */
export const multitaskPromptTuning = definePeftMethod({
  name: OWNER,
  formula: "x' = [E ⊙ (C_t·R_t), x], t the sequence's task",
  peftType: 'MULTITASK_PROMPT_TUNING',
  peftLayout: 'prompt',
  peftCommonKeys: ['modules_to_save'],
  paper: {
    title: 'Multitask Prompt Tuning Enables Parameter-Efficient Transfer Learning',
    url: 'https://arxiv.org/abs/2303.02861',
  },

  parseConfig(input): MultitaskPromptConfig {
    const { tasks = 1, ranks = 1, source, sourceTask = 0, sourcePath, init, ...prompt } = input;
    check.positiveInteger(OWNER, 'tasks', tasks);
    check.positiveInteger(OWNER, 'ranks', ranks);
    check.nonNegativeInteger(OWNER, 'sourceTask', sourceTask);
    if (sourcePath !== undefined) check.string(OWNER, 'sourcePath', sourcePath);
    const isFromSource = init !== undefined && isSourceInit(init);
    if (isFromSource && !source && !prompt.isLoaded)
      throw new PeftError('PEFT_CONFIG_INVALID', `${OWNER}: init '${init}' needs source.`, {
        hint: 'pass embeddings, columns and rows of an adapter that was trained on other tasks',
      });
    if ((init === 'source-mean' || init === 'source-task') && tasks !== 1)
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `${OWNER}: init '${init}' makes factors of one task, got tasks ${tasks}.`,
        { hint: "set tasks to 1, or init to 'source-shared'" },
      );
    const asked = isFromSource ? prompt : { ...prompt, init };
    const known = parsePrompt(OWNER, asked, OWN_OPTIONS);
    return Object.freeze({
      ...known,
      init: isFromSource ? init : known.init,
      tasks,
      ranks,
      source,
      sourceTask,
      sourcePath,
    });
  },

  /** Both stacks of a model that makes text from text, as PEFT trains it. */
  defaultTargets: (description, { stacks }) =>
    stacks === 1 || description.head.kind !== 'seq2seq-lm'
      ? tokenTargets(description)
      : { targets: pathsOf(description) },

  tasks: ({ tasks }) => tasks,

  attach: {
    sequence(site, config, context) {
      const { tasks, ranks, virtualTokens } = config;
      const total = totalTokens(context, config);
      const width = site.size;
      const embeddings = context.sharedParam(
        'prompt_embeddings',
        [total, width],
        isSourceInit(config.init)
          ? fromSource(config, 'embeddings', total * width)
          : startOf(site, { ...config, init: config.init }, context.description.vocabularySize),
      );
      const columns = context.sharedParam(
        'prefix_task_cols',
        [tasks, total, ranks],
        fromSource(config, 'columns', total * ranks),
      );
      const rows = context.sharedParam(
        'prefix_task_rows',
        [tasks, ranks, width],
        fromSource(config, 'rows', ranks * width),
      );
      return {
        tokens: virtualTokens,
        perSequence: tasks > 1,
        prefix(call) {
          const factors = tf.matMul(columns.value, rows.value); // [tasks, total, D]
          const prompts = tf.reshape(tf.mul(factors, embeddings.value), [tasks, total * width]);
          if (tasks === 1)
            return ownRows(tf.reshape(prompts, [total, width]), site, context, virtualTokens);
          const own = tf.stack(
            tf
              .unstack(tf.reshape(prompts, [tasks, total, width]))
              .map((each) => ownRows(each as Tensor2D, site, context, virtualTokens)),
          );
          const size = virtualTokens * width;
          const chosen = gatherRows(tf.reshape(own, [tasks, size]), call.tasks(tasks));
          return tf.reshape(chosen, [-1, width]) as Tensor2D;
        },
      };
    },
  },

  toPeftConfig({ init, source: _, ...config }, context) {
    const isFromSource = isSourceInit(init);
    const prompt = { ...config, init: isFromSource ? 'random' : init } as const;
    return {
      ...promptTuning.toPeftConfig!(prompt, context),
      ...(isFromSource && { prompt_tuning_init: SOURCE_INITS[init] }),
      prompt_tuning_init_state_dict_path: config.sourcePath ?? null,
      prompt_tuning_init_task: config.sourceTask,
      num_ranks: config.ranks,
      num_tasks: config.tasks,
    };
  },

  fromPeftConfig(json) {
    const { init, ...prompt } = promptTuning.fromPeftConfig!(json);
    const source = (Object.keys(SOURCE_INITS) as SourceInit[]).find(
      (name) => SOURCE_INITS[name] === json['prompt_tuning_init'],
    );
    return {
      ...prompt,
      init: source ?? init,
      tasks: (json['num_tasks'] ?? 1) as number,
      ranks: (json['num_ranks'] ?? 1) as number,
      sourceTask: (json['prompt_tuning_init_task'] ?? 0) as number,
      sourcePath: (json['prompt_tuning_init_state_dict_path'] ?? undefined) as string | undefined,
    };
  },
});

/** Where a part of the parameters starts, `size` numbers of each task. */
function fromSource(
  { init, source, sourceTask, isLoaded }: MultitaskPromptConfig,
  part: keyof SourcePrompt,
  size: number,
): Initializer {
  if (isLoaded) return zeros;
  const isTaken = part === 'embeddings' ? isSourceInit(init) : /^source-(mean|task)$/.test(init);
  if (!source || !isTaken) return normal(0.02);
  const values = Float32Array.from(source[part]);
  const tasks = values.length / size;
  const isFitting = part === 'embeddings' ? tasks === 1 : Number.isInteger(tasks) && tasks > 0;
  if (!isFitting || (init === 'source-task' && part !== 'embeddings' && sourceTask >= tasks))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${OWNER}: source.${part} has ${values.length} numbers, and ${size} are asked for` +
        `${part === 'embeddings' ? '' : ` of each task, the one of number ${sourceTask} among them`}.`,
    );
  if (part === 'embeddings') return () => values;
  if (init === 'source-task') return () => values.slice(sourceTask * size, (sourceTask + 1) * size);
  return () =>
    Float32Array.from({ length: size }, (_, i) => {
      let sum = 0;
      for (let task = 0; task < tasks; task += 1) sum += values[task * size + i]!;
      return sum / tasks;
    });
}
