/** A predictor of any task on a model with random weights, and rows that it learns in seconds. */
import { fileURLToPath } from 'node:url';
import type { TrainEvent } from '@peft/core';
import {
  PeftPredictor,
  type FitOptions,
  type PredictorData,
  type PredictorOptions,
  type TaskName,
} from '../src/index.js';

export const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../testing/fixtures/models/${name}`, import.meta.url));

/** A few steps on a model with random weights. */
const quick = (model: string) => ({
  'model.hf_text.checkpoint_name': fixture(model),
  'model.hf_text.max_text_len': 48,
  'model.hf_text.max_target_len': 12,
  'optim.lr': 2e-2,
  'optim.max_epochs': 4,
  'env.batch_size': 4,
  'env.per_gpu_batch_size': 2,
  'env.engine': 'portable' as const,
});

export function predictorOf(
  task: TaskName | undefined,
  model: string,
  options: Partial<PredictorOptions> = {},
) {
  const predictor = new PeftPredictor({
    task,
    ...options,
    hyperparameters: { ...quick(model), ...(options.hyperparameters as object | undefined) },
  });
  const events: TrainEvent[] = [];
  predictor.listen((event) => events.push(event));
  return { predictor, events };
}

export const NOUNS = [
  'cat',
  'dog',
  'bird',
  'fish',
  'horse',
  'mouse',
  'sheep',
  'goat',
  'duck',
  'hen',
];
export const completions = NOUNS.map((noun) => ({
  prompt: `A ${noun} says`,
  completion: ' hello',
}));
export const tagged = NOUNS.map((noun) => ({
  tokens: ['the', noun, 'of', 'London'],
  tags: ['O', 'B-ANIMAL', 'O', 'B-LOC'],
}));

/** Rows of a fit with their own rows as validation. */
export const fitted = (predictor: PeftPredictor, rows: PredictorData, options: FitOptions = {}) =>
  predictor.fit(rows, { tuningData: rows, ...options });
