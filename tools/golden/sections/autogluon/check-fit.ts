/** A small fit: losses, gradient norms, learning rates of every group, trained tensors, logits. */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  adapterCounts,
  architectureFor,
  createTrainEventBus,
  loadModel,
  type Adapter,
  type Model,
  type ModelDescription,
  type TrainEventOf,
} from '@peft/core';
import { openCheckpoint, openSafetensors, readFloat32 } from '@peft/hub';
import { architectures } from '@peft/models';
import { adamw, autogluonSchedule, type AutogluonScheduleName } from '@peft/optim';
import { classification, layerwiseDecay, train, type ClassificationBatch } from '@peft/trainer';
import { Comparison } from '../../comparison.js';
import { readGoldenCase, type GoldenContext, type GoldenResult } from '../../golden-case.js';
import { packBatch, type PaddedBatch } from '../../packed.js';
import {
  HEAD,
  exactAutogluonMethod,
  unsupported,
  trainablesOf,
  autogluonName,
  readJson,
} from './autogluon-case.js';

interface FitCase {
  readonly base: string;
  readonly peft: string;
  readonly lr: number;
  readonly lr_decay: number;
  readonly weight_decay: number;
  readonly eps: number;
  readonly betas: readonly [number, number];
  readonly lr_schedule: AutogluonScheduleName;
  readonly max_steps: number;
  readonly warmup_steps: number;
  readonly accumulate: number;
  readonly max_grad_norm: number;
  readonly batches: readonly (PaddedBatch & { readonly labels: readonly number[] })[];
}

interface TrainRecord {
  readonly loss: readonly number[];
  readonly grad_norm: readonly number[];
  readonly learning_rates: readonly (readonly number[])[];
  readonly groups: readonly {
    readonly lr: number;
    readonly weight_decay: number;
    readonly params: readonly string[];
  }[];
  readonly trainable: number;
  readonly total: number;
  readonly wrapped: readonly string[];
  readonly atol_loss: number;
  readonly atol_grad_norm: number;
}

export async function checkFit(
  folder: string,
  { fixtures, engine }: GoldenContext,
): Promise<GoldenResult> {
  const golden = readGoldenCase(folder);
  const json = golden.json as unknown as FitCase;
  const record = readJson<TrainRecord>(join(folder, 'train.json'));
  const base = join(fixtures, json.base);
  const config = readJson<Record<string, unknown>>(join(base, 'config.json'));
  const missing = unsupported(config, json.peft);
  if (missing) return { status: 'unsupported', detail: missing };
  const comparison = new Comparison(golden);
  const store = openCheckpoint(base);
  const model = loadModel(
    architectureFor(config['model_type'], architectures),
    config,
    store,
    engine,
    { head: HEAD },
  );
  try {
    const adapter = model.addAdapter('default', exactAutogluonMethod(json.peft));
    assignStart(adapter, join(folder, 'start.safetensors'));
    const events = await fit(model, json);
    compareCounts(comparison, adapter, model.description, record);
    compareGroups(comparison, adapter, model.description, json, record);
    comparison.equal('steps', events.length, json.max_steps);
    events.forEach(({ loss, gradientNorm }, step) => {
      comparison.number(`loss.${step}`, loss, record.loss[step]!, record.atol_loss);
      comparison.number(
        `grad_norm.${step}`,
        gradientNorm,
        record.grad_norm[step]!,
        record.atol_grad_norm,
      );
    });
    for (const parameter of trainablesOf(adapter))
      comparison.tensor(`trained.${autogluonName(parameter)}`, parameter.value.dataSync());
    tf.tidy(() =>
      comparison.tensor('logits', model.forward(packBatch(json.batches[0]!)).logits!.dataSync()),
    );
  } finally {
    model.dispose();
    store.close();
  }
  return comparison.result();
}

/**
 * The whole fit by the trainer's own loop: one epoch of `max_steps` steps, each of `accumulate` of
 * the case's batches.
 */
export async function fit(model: Model, json: FitCase): Promise<TrainEventOf<'step/completed'>[]> {
  const starts = json.batches.map((_, i) =>
    json.batches.slice(0, i).reduce((sum, { input_ids }) => sum + input_ids.length, 0),
  );
  const batchRows = json.batches.map(({ input_ids }, i) =>
    Int32Array.from(input_ids, (_, b) => starts[i]! + b),
  );
  const steps = Array.from({ length: json.max_steps }, (_, step) =>
    Array.from(
      { length: json.accumulate },
      (_, i) => batchRows[(step * json.accumulate + i) % batchRows.length]!,
    ),
  );
  const bus = createTrainEventBus();
  const events: TrainEventOf<'step/completed'>[] = [];
  bus.listen((event) => event.type === 'step/completed' && events.push(event));
  const pack = (rows: Int32Array): ClassificationBatch => {
    const batch = json.batches[batchRows.findIndex((each) => each[0] === rows[0])]!;
    return { ...packBatch(batch), labels: Int32Array.from(batch.labels) };
  };
  await train({
    model,
    task: classification({ classes: HEAD.outputs }),
    data: {
      lengths: json.batches.flatMap(({ attention_mask }) =>
        attention_mask.map((row) => row.filter(Boolean).length),
      ),
      pack,
    },
    order: { settings: {}, batches: () => steps },
    optimizer: adamw({ beta1: json.betas[0], beta2: json.betas[1], epsilon: json.eps }),
    schedule: scheduleOf(json),
    group: groupsOf(model.description, json),
    bus,
    options: { maxGradientNorm: json.max_grad_norm, dropout: false },
  });
  bus.dispose();
  return events;
}

const scheduleOf = (json: FitCase) =>
  autogluonSchedule(json.lr_schedule, {
    learningRate: json.lr,
    totalSteps: json.max_steps,
    warmupSteps: json.warmup_steps,
    endLearningRate: json.lr,
  });

const groupsOf = (description: ModelDescription, json: FitCase) =>
  layerwiseDecay(description, { weightDecay: json.weight_decay, layerDecay: json.lr_decay }).group;

function assignStart(adapter: Adapter, path: string): void {
  const start = openSafetensors(path);
  const byName = new Map(
    [...adapter.parameters.values()].map((parameter) => [autogluonName(parameter), parameter]),
  );
  try {
    for (const name of start.names()) {
      const parameter = byName.get(name);
      if (!parameter)
        throw new Error(`the adapter has no parameter for ${name} of start.safetensors`);
      tf.tidy(
        () =>
          void parameter.value.assign(
            tf.tensor(readFloat32(start.get(name)!), [...parameter.shape]),
          ),
      );
    }
  } finally {
    start.close();
  }
}

function compareCounts(
  comparison: Comparison,
  adapter: Adapter,
  description: ModelDescription,
  record: Pick<TrainRecord, 'trainable' | 'total' | 'wrapped'>,
): void {
  comparison.equal('counts', adapterCounts(description, [adapter]), {
    trainable: record.trainable,
    total: record.total,
  });
  comparison.equal(
    'wrapped',
    adapter.wrappedSites.map(({ path }) => `model.${path}`),
    record.wrapped,
  );
}

/** Weight decay and, at every step, the learning rate of every parameter. */
function compareGroups(
  comparison: Comparison,
  adapter: Adapter,
  description: ModelDescription,
  json: FitCase,
  record: TrainRecord,
): void {
  const group = groupsOf(description, json);
  const schedule = scheduleOf(json);
  const expected = new Map(
    record.groups.flatMap(({ weight_decay, params }, g) =>
      params.map((name) => [name, { g, weight_decay }] as const),
    ),
  );
  comparison.equal(
    'trained names',
    trainablesOf(adapter).map(autogluonName).sort(),
    [...expected.keys()].sort(),
  );
  for (const parameter of trainablesOf(adapter)) {
    const name = autogluonName(parameter);
    const wanted = expected.get(name);
    if (!wanted) continue;
    const { weightDecay, learningRateScale } = group(parameter);
    comparison.number(`weight_decay.${name}`, weightDecay, wanted.weight_decay, 0);
    record.learning_rates.forEach((rates, step) =>
      comparison.number(
        `learning_rate.${step}.${name}`,
        schedule(step) * learningRateScale,
        rates[wanted.g]!,
        1e-12,
      ),
    );
  }
}
