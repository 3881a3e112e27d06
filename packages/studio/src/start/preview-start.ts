/** What a fit would do, for the form: rows, labels, tokens, memory. */
import type { Cell, Table } from '@peft/data';
import {
  previewFit,
  type FitOptions,
  type FitPreview,
  type PredictorOptions,
} from '@peft/predictor';
import type { StartPreview } from '../api-types.js';
import { histogram } from './histogram.js';
import { isLabelled, learntPieces } from './learnt-pieces.js';

/** Rows of language models that are shown. */
const SHOWN_EXAMPLES = 3;
/** Labels that are counted one by one. */
const SHOWN_LABELS = 40;

/** @throws what `previewFit` throws */
export async function previewStart(
  train: string,
  predictor: PredictorOptions,
  fit: FitOptions,
): Promise<StartPreview> {
  const preview = await previewFit(predictor, train, fit);
  const { task, metric, settings, examples, validation, plan, warnings } = preview;
  const label = typeof predictor.label === 'string' ? predictor.label : undefined;
  return {
    task: task.name,
    metric: metric.name,
    textColumns: task.inputs,
    trainingRows: examples.rows,
    validationRows: validation.rows,
    ...(label === undefined ? {} : labelsOf(preview, label)),
    tokens: histogram(examples.data.lengths, true),
    examples: task.name === 'causal-lm' ? await examplesOf(preview) : [],
    engine: preview.engine,
    speed: preview.speed,
    steps: preview.steps,
    epochs: settings['optim.max_epochs'],
    settings: { ...settings },
    memory: plan && memoryOf(plan),
    warnings: warnings.map(({ code, message, hint }) => ({ code, message, hint })),
  };
}

function labelsOf(
  { train, task }: FitPreview,
  label: string,
): Pick<StartPreview, 'labels' | 'numbers'> {
  if (task.name === 'regression')
    return { numbers: histogram(train.column(label).map(Number), false) };
  const counts = new Map<string, number>();
  for (const name of labelCells(train, label)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const sorted = [...counts]
    .map(([name, rows]) => ({ label: name, rows }))
    .sort((a, b) => b.rows - a.rows);
  return { labels: sorted.slice(0, SHOWN_LABELS) };
}

/** Each label of each row; a row may have several. */
const labelCells = (train: Table, label: string): string[] =>
  train
    .values(label)
    .flatMap((cell) => (Array.isArray(cell) ? cell : [cell]) as Cell[])
    .map(String);

async function examplesOf({ examples, base }: FitPreview): Promise<StartPreview['examples']> {
  const { data } = examples;
  const rows = Array.from({ length: Math.min(SHOWN_EXAMPLES, data.lengths.length) }, (_, at) => at);
  const batch = await data.pack(Int32Array.from(rows));
  return isLabelled(batch) ? learntPieces(batch, base.tokenizer).slice(0, SHOWN_EXAMPLES) : [];
}

function memoryOf(plan: NonNullable<FitPreview['plan']>): StartPreview['memory'] {
  const parts = [
    ['weights', plan.weightBytes],
    ['adapter', plan.adapterBytes],
    ['gradients', plan.gradientBytes],
    ['optimiser', plan.optimizerStateBytes],
    ['activations', Math.max(plan.activationBytes, plan.evaluationBytes)],
    ['program', plan.runtimeBytes],
  ] as const;
  const { peakBytes, usableBytes } = plan.gpu
    ? { peakBytes: plan.gpu.peakBytes, usableBytes: plan.gpu.memory.usableBytes }
    : { peakBytes: plan.peakBytes, usableBytes: plan.machine.usableBytes };
  return {
    peakBytes,
    usableBytes,
    parts: plan.gpu ? [] : parts.map(([name, bytes]) => ({ name, bytes })),
    trainableParameters: plan.trainableParameters,
    parameters: plan.parameters,
  };
}
