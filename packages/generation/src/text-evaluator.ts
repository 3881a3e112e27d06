/**
 * Scores a model by the texts that it generates: an `evaluate` for the training loop of @peft/trainer.
 */
import type { Model } from '@peft/core';
import { getTextMetric, type References, type TextMetric, type TextTokenizer } from '@peft/data';
import { generateTexts, type Prompt, type TextGenerationOptions } from './generate-texts.js';

/** What a `createTextEvaluator` generates and compares. */
export interface TextEvaluatorOptions extends Omit<TextGenerationOptions, 'signal' | 'onText'> {
  readonly model: Model;
  readonly tokenizer: TextTokenizer;
  readonly prompts: readonly Prompt[];
  /** What each prompt should give. */
  readonly references: readonly References[];
  /** Metrics or their names. */
  readonly metrics: readonly (string | TextMetric)[];
}

/** Scores by the metrics' names. */
export interface TextEvaluation {
  readonly metrics: Readonly<Record<string, number>>;
  readonly examples: number;
}

/**
 * Makes a function that generates a text per prompt and scores the texts.
 * @throws PEFT_METRIC_UNKNOWN; the evaluation what `generateTexts` and the metrics throw
 */
export function createTextEvaluator({
  model,
  tokenizer,
  prompts,
  references,
  metrics,
  ...options
}: TextEvaluatorOptions): (signal?: AbortSignal) => Promise<TextEvaluation> {
  const found = metrics.map((metric) =>
    typeof metric === 'string' ? getTextMetric(metric) : metric,
  );
  return async (signal) => {
    const texts = (await generateTexts(model, tokenizer, prompts, { ...options, signal })).map(
      ({ text }) => text,
    );
    return {
      metrics: Object.fromEntries(
        found.map((metric) => [metric.name, metric.compute(texts, references)]),
      ),
      examples: texts.length,
    };
  };
}
