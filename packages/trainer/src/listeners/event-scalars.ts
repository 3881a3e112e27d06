/** The numbers of an event, under the names that trackers of runs show. */
import type { TrainEvent } from '@peft/core';

export interface EventScalars {
  readonly step: number;
  readonly values: [name: string, value: number][];
}

/** `train/loss`, `train/learning_rate` …, `validation/METRIC`; undefined for other events. */
export function scalarsOf(event: TrainEvent): EventScalars | undefined {
  if (event.type === 'evaluation/completed')
    return {
      step: event.step,
      values: Object.entries(event.metrics).map(([name, value]) => [`validation/${name}`, value]),
    };
  if (event.type !== 'step/completed') return undefined;
  const values: [string, number][] = [
    ['train/loss', event.loss],
    ['train/learning_rate', event.learningRate],
    ['train/gradient_norm', event.gradientNorm],
  ];
  if (event.durationMs > 0)
    values.push(['train/tokens_per_second', (event.tokens * 1000) / event.durationMs]);
  for (const [name, value] of Object.entries(event.metrics ?? {}))
    values.push([`train/${name}`, value]);
  return { step: event.step, values };
}
