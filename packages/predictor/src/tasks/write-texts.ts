/** Texts written by a predictor's model, and scored against what they should be. */
import { join } from 'node:path';
import type { ModelBatch } from '@peft/core';
import { getTextMetric, type References, type TextMetric, type TokenLoss } from '@peft/data';
import { PeftError } from '@peft/errors';
import { generateTexts, generationDefaults, type Prompt, type TextEnds } from '@peft/generation';
import { readJsonObject } from '@peft/hub';
import { perplexityScore, predict, type Task, type TrainingData } from '@peft/trainer';
import { runSizes } from '../fit/run-plan.js';
import type { TaskEvaluation, TaskTools, WatchedMetric, WritingOptions } from './predictor-task.js';

export const PERPLEXITY: WatchedMetric = Object.freeze({
  name: 'perplexity',
  greaterIsBetter: false,
  optimum: 1,
});

/** `perplexity`, or a metric of written texts. @throws PEFT_METRIC_UNKNOWN */
export function languageMetric(given: string | WatchedMetric = PERPLEXITY): WatchedMetric {
  if (typeof given !== 'string') return given;
  return given.toLowerCase() === PERPLEXITY.name
    ? PERPLEXITY
    : explained(() => getTextMetric(given));
}

function explained(find: () => TextMetric): TextMetric {
  try {
    return find();
  } catch (error) {
    if (!(error instanceof PeftError)) throw error;
    throw new PeftError(
      error.code,
      `${error.message} A language model is also scored by perplexity.`,
      { cause: error },
    );
  }
}

/** Whether a metric looks at written texts. */
export const isTextMetric = (metric: WatchedMetric): metric is TextMetric => metric !== PERPLEXITY;

/** End and start tokens as the checkpoint says. */
export function tokenEnds({
  base: { config, filesFolder, tokenizer },
}: Pick<TaskTools, 'base'>): TextEnds {
  return generationDefaults({
    config,
    generationConfig: readJsonObject(join(filesFolder, 'generation_config.json')),
    tokenizer,
  });
}

/** What the model writes after each prompt: greedy, unless options say otherwise. */
export async function writeTexts(
  prompts: readonly Prompt[],
  tools: TaskTools,
  writing: WritingOptions = {},
  { endIds = [], taskIds }: Partial<Pick<LanguageRows, 'endIds' | 'taskIds'>> = {},
): Promise<string[]> {
  const { model, base, settings, signal } = tools;
  const given = Object.fromEntries(
    Object.entries(writing).filter(([, value]) => value !== undefined),
  );
  const ends = tokenEnds(tools);
  const write = (cache: boolean) =>
    generateTexts(model, base.tokenizer, prompts, {
      ...ends,
      endIds: [...new Set([...ends.endIds, ...endIds])],
      maxNewTokens: settings['model.hf_text.max_target_len'],
      batchSize: runSizes(settings).evaluationBatchSize,
      ...given,
      taskIds: taskIds && [...taskIds],
      signal,
      cache,
    });
  const texts = await write(true).catch((error: unknown) => {
    // an adapter that looks at whole sequences (UniPELT's gates) writes without one
    if (error instanceof PeftError && error.code === 'PEFT_CACHE_ADAPTER') return write(false);
    throw error;
  });
  return texts.map(({ text }) => text);
}

export interface LanguageRows {
  readonly task: Task<ModelBatch, TokenLoss>;
  readonly data: TrainingData;
  readonly prompts: readonly Prompt[];
  /** What is to be written. */
  readonly references: readonly References[];
  /** Tokens that end a text beside those that the checkpoint names. */
  readonly endIds?: readonly number[] | undefined;
  /** The task of each prompt, where the adapter learns several. */
  readonly taskIds?: Int32Array | undefined;
}

/** Tells of references that are longer than what may be generated. */
function warnOfLimit(
  references: readonly References[],
  { base, settings, warn }: TaskTools,
  writing: WritingOptions = {},
): void {
  const limit = writing.maxNewTokens ?? settings['model.hf_text.max_target_len'];
  const long = [...references.keys()].filter((row) =>
    [references[row]!].flat().every((text) => base.tokenizer.ids(text).length > limit),
  );
  if (long.length === 0) return;
  warn?.({
    code: 'PEFT_METRIC_LIMIT',
    message:
      `${long.length} of ${references.length} wanted texts have more than the ${limit} tokens that are` +
      ` generated (rows ${long.slice(0, 5).join(', ')}${long.length > 5 ? ', …' : ''}): exact_match cannot` +
      ' count them as right, and other metrics compare with a beginning.',
    hint: 'raise model.hf_text.max_target_len (CLI: --max-new-tokens N when evaluating)',
  });
}

/** Loss and perplexity of the data; where a metric asks for texts, these are written, too. */
export function languageScorer(
  { task, data, prompts, references, endIds, taskIds }: LanguageRows,
  metrics: readonly WatchedMetric[],
  tools: TaskTools,
  writing?: WritingOptions,
): (signal?: AbortSignal) => Promise<TaskEvaluation> {
  const wanted = metrics.filter(isTextMetric);
  if (wanted.length > 0) warnOfLimit(references, tools, writing);
  return async (signal) => {
    const { predictions: losses, loss } = await predict(tools.model, task, data, {
      batchSize: runSizes(tools.settings).evaluationBatchSize,
      withLoss: true,
      signal,
    });
    const scores = { loss: loss!, ...perplexityScore(losses) };
    if (wanted.length === 0) return { metrics: scores, examples: losses.length };
    const texts = await writeTexts(prompts, { ...tools, signal }, writing, { endIds, taskIds });
    return {
      metrics: {
        ...scores,
        ...Object.fromEntries(
          wanted.map((metric) => [metric.name, metric.compute(texts, references)]),
        ),
      },
      examples: losses.length,
      predictions: texts,
    };
  };
}
