/** A fixture model with the adapter of the golden cases, and what TRL computed with it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeEach, expect } from 'vitest';
import {
  architectureFor,
  loadModel,
  type HeadOptions,
  type Model,
  type ModelBatch,
  type WeightStore,
} from '@peft/core';
import {
  createChatTemplate,
  loadTokenizer,
  type ChatTemplate,
  type TextTokenizer,
} from '@peft/data';
import { openCheckpoint } from '@peft/hub';
import { lora } from '@peft/lora';
import { architectures } from '@peft/models';
import { variableGradients, type Engine } from '@peft/ops';
import { usePortableEngine } from '@peft/testing';
import { forwardTask, prepareTask, type NamedMeasures, type Task } from '@peft/trainer';

const MODELS = fileURLToPath(new URL('../../testing/fixtures/models', import.meta.url));
const FIXTURES = fileURLToPath(new URL('fixtures', import.meta.url));

/** Of one loss: norm and projection on cos(i + 1) of each gradient, by PEFT's names. */
export interface GoldenCase {
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly gradients: Readonly<Record<string, readonly [number, number]>>;
}

/** `fixtures/<name>.json`. */
export const readGolden = <T>(name: string): T =>
  JSON.parse(readFileSync(join(FIXTURES, `${name}.json`), 'utf8')) as T;

/** The adapter and the head of a golden case. */
export interface GoldenModelOptions {
  readonly dropout?: number;
  readonly head?: HeadOptions;
  readonly targets?: readonly string[];
  readonly modulesToSave?: readonly string[];
}

/** Opens models for a file's tests; each goes with its test, and leaves no tensor behind. */
export function useGoldenModels(): (name: string, options?: GoldenModelOptions) => Model {
  let engine: Engine;
  usePortableEngine((active) => (engine = active));
  const opened: Model[] = [];
  let tensors = 0;
  beforeEach(() => void (tensors = tf.memory().numTensors));
  afterEach(() => {
    for (const model of opened.splice(0)) model.dispose();
    expect(tf.memory().numTensors, 'tensors left behind').toBe(tensors);
  });
  return (name, options) => {
    const model = openGolden(engine, name, options);
    opened.push(model);
    return model;
  };
}

function openGolden(
  engine: Engine,
  name: string,
  {
    dropout = 0,
    head = { kind: 'causal-lm' },
    targets = ['q_proj', 'v_proj'],
    modulesToSave,
  }: GoldenModelOptions = {},
): Model {
  const folder = join(MODELS, name);
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const store = openCheckpoint(folder);
  const model = loadModel(
    architectureFor(config['model_type'], architectures),
    config,
    // a classifier of another size gives way to a fresh head, as transformers' option has it
    withoutClassifier(store),
    engine,
    { head },
  );
  store.close();
  model.addAdapter('default', lora({ rank: 2, alpha: 4, dropout, targets, modulesToSave }));
  const loras = lorasOf(model);
  loras.forEach(({ parameter }, k) => {
    const { shape, size } = parameter.value;
    const values = Float32Array.from({ length: size }, (_, i) => 0.1 * Math.sin(0.37 * i + k));
    tf.tidy(() => parameter.value.assign(tf.tensor(values, shape)));
  });
  return model;
}

const withoutClassifier = (store: WeightStore): WeightStore => ({
  names: () => [...store.names()].filter((name) => !name.startsWith('classifier.')),
  get: (name) => (name.startsWith('classifier.') ? undefined : store.get(name)),
});

/** LoRA's matrices by PEFT's names, in the order of these. */
export const lorasOf = (model: Model) =>
  [...model.adapter('default').parameters.values()]
    .filter(({ name }) => name.includes('lora_'))
    .map((parameter) => ({ name: parameter.name, parameter }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));

export const tokenizerOf = (name: string): TextTokenizer => loadTokenizer(join(MODELS, name));
export const templateOf = (source: string, tokenizer: TextTokenizer) => (): ChatTemplate =>
  createChatTemplate(source, tokenizer);

/** Loss and gradients of a step of these micro-batches, as the trainer makes them. */
export async function stepOf<B extends ModelBatch>(
  model: Model,
  task: Task<B>,
  packed: readonly B[],
  training = false,
): Promise<{
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}> {
  const batches = await prepareTask(task, model, packed);
  const count = batches.reduce((sum, batch) => sum + task.count(batch), 0);
  const loras = lorasOf(model);
  const gradients = new Map<string, Float32Array>();
  const sums = new Map<string, { sum: number; count: number }>();
  const told: Promise<NamedMeasures>[] = [];
  let loss = 0;
  for (const batch of batches)
    tf.tidy(() => {
      const made = variableGradients(
        () =>
          tf.div(
            task.loss(forwardTask(task, model, batch, { training }), batch, (measures) =>
              told.push(Promise.resolve(measures)),
            ),
            count,
          ),
        loras.map(({ parameter }) => parameter.value),
      );
      loss += made.value.dataSync()[0]!;
      for (const { name, parameter } of loras) {
        const values = made.gradients[parameter.value.name]!.dataSync<'float32'>();
        const so = gradients.get(name) ?? new Float32Array(values.length);
        gradients.set(
          name,
          so.map((value, i) => value + values[i]!),
        );
      }
    });
  for (const measures of await Promise.all(told))
    for (const [name, { sum, count: many }] of Object.entries(measures)) {
      const so = sums.get(name) ?? { sum: 0, count: 0 };
      sums.set(name, { sum: so.sum + sum, count: so.count + many });
    }
  return {
    loss,
    gradients,
    metrics: Object.fromEntries(
      [...sums].map(([name, { sum, count: many }]) => [name, sum / many]),
    ),
  };
}

/** What TRL measures and the tasks do not. */
const NOT_MEASURED = new Set([
  'entropy',
  'num_tokens',
  'mean_token_accuracy',
  'logits/chosen',
  'logits/rejected',
  'log_odds_ratio',
  'log_odds_chosen',
  'min_reward',
  'mean_reward',
  'max_reward',
]);
/** TRL's names of what has another one here. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  nll_loss: 'nll',
  accuracy: 'rewards/accuracies',
  margin: 'rewards/margins',
};
/** Of terms that a case leaves out TRL tells a 0, and the tasks nothing. */
const OPTIONAL = new Set(['nll_loss', 'kl']);

/**
 * Loss and metrics within 2e-5 (of the value, where that is above 1); norm and
 * projection of each gradient within 5e-5 of its norm.
 */
export function expectGolden(
  actual: Awaited<ReturnType<typeof stepOf>>,
  expected: GoldenCase,
): void {
  const close = (value: number, wanted: number, allowed: number, what: string): void =>
    expect(Math.abs(value - wanted), `${what}: ${value}, TRL ${wanted}`).toBeLessThan(allowed);
  const scalar = (value: number, wanted: number, what: string): void =>
    close(value, wanted, 2e-5 * Math.max(1, Math.abs(wanted)), what);
  scalar(actual.loss, expected.loss, 'loss');
  for (const [name, wanted] of Object.entries(expected.metrics)) {
    const value = actual.metrics[OTHER_NAMES[name] ?? name];
    const isLeftOut = value === undefined && wanted === 0 && OPTIONAL.has(name);
    if (!NOT_MEASURED.has(name) && !isLeftOut) scalar(value ?? Number.NaN, wanted, name);
  }
  expect([...actual.gradients.keys()]).toEqual(Object.keys(expected.gradients));
  for (const [name, [norm, projection]] of Object.entries(expected.gradients)) {
    const gradient = actual.gradients.get(name)!;
    const along = gradient.reduce((sum, value, i) => sum + value * Math.cos(i + 1), 0);
    close(Math.hypot(...gradient), norm, 5e-5 * norm, `norm of ${name}`);
    close(along, projection, 5e-5 * norm, `projection of ${name}`);
  }
}
