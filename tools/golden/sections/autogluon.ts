/**
 * AutoGluon: small fits (losses, gradient norms, learning rates of every group, trained tensors,
 * logits), and in the folder above them the counts of real-size models and the layer ids of small
 * ones.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  adapterCounts,
  architectureFor,
  attachAdapter,
  createTrainEventBus,
  describeModel,
  loadModel,
  PeftError,
  type Adapter,
  type Model,
  type ModelDescription,
  type OwnedParameter,
  type TrainEventOf,
} from '@peft/core';
import { openCheckpoint, openSafetensors, readFloat32 } from '@peft/hub';
import { architectures } from '@peft/models';
import { adamw, autogluonSchedule, type AutogluonScheduleName } from '@peft/optim';
import { AUTOGLUON_METHODS, autogluonMethod, type AutogluonMethod } from '@peft/predictor';
import {
  adapterLayerIds,
  classification,
  layerwiseDecay,
  train,
  type ClassificationBatch,
} from '@peft/trainer';
import { Comparison } from '../comparison.js';
import { readGoldenCase, type GoldenContext, type GoldenResult } from '../golden-case.js';
import { packBatch, type PaddedBatch } from '../packed.js';

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

const HEAD = { kind: 'pooled-linear', outputs: 2 } as const;

/** Checks one fit, or `counts.json` and `layer_ids.json` of the section's own folder. */
export async function check(folder: string, context: GoldenContext): Promise<GoldenResult> {
  return existsSync(join(folder, 'case.json'))
    ? checkFit(folder, context)
    : checkTables(folder, context);
}

async function checkFit(
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
    const adapter = model.addAdapter('default', autogluonMethod(json.peft as AutogluonMethod));
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
async function fit(model: Model, json: FitCase): Promise<TrainEventOf<'step/completed'>[]> {
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

interface CountTables {
  readonly models: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          {
            readonly trainable: number;
            readonly total: number;
            readonly wrapped_linears: number;
            readonly size_mb: number;
          }
        >
      >
    >
  >;
}
interface LayerTables {
  readonly tables: readonly LayerTable[];
}
interface LayerTable {
  readonly base: string;
  readonly peft: string;
  readonly lr: number;
  readonly lr_decay: number;
  readonly weight_decay: number;
  /** name, layer id, trainable, learning rate, weight decay */
  readonly rows: readonly (readonly [string, number, boolean, number | null, number | null])[];
}

/** Descriptions are enough: no weight is read. */
function checkTables(folder: string, { fixtures }: GoldenContext): GoldenResult {
  const comparison = new Comparison({ folder, section: 'autogluon', json: {}, tensors: new Map() });
  const left = new Set<string>();
  if (existsSync(join(folder, 'counts.json'))) {
    for (const [name, values] of Object.entries(
      readJson<CountTables>(join(folder, 'counts.json')).models,
    ))
      checkCounts(
        comparison,
        left,
        name,
        readJson(join(folder, 'configs', name, 'config.json')),
        values,
      );
  }
  if (existsSync(join(folder, 'layer_ids.json'))) {
    for (const table of readJson<LayerTables>(join(folder, 'layer_ids.json')).tables)
      checkLayerIds(comparison, left, table, readJson(join(fixtures, table.base, 'config.json')));
  }
  const result = comparison.result();
  return left.size && result.status === 'passed'
    ? { ...result, detail: `${result.detail}; left out: ${[...left].join(', ')}` }
    : result;
}

function checkCounts(
  comparison: Comparison,
  left: Set<string>,
  name: string,
  config: Record<string, unknown>,
  values: CountTables['models'][string],
): void {
  for (const [peft, expected] of Object.entries(values)) {
    const missing = peft === 'none' ? unsupported(config) : unsupported(config, peft);
    if (missing) {
      left.add(missing);
      continue;
    }
    const description = describe(config);
    const adapter =
      peft === 'none' ? undefined : attach(description, peft, expected.wrapped_linears);
    if (adapter === 'nothing matches') {
      left.add(
        `${name} ${peft} (AutoGluon wraps no layer there and trains the rest; here that is an error)`,
      );
      continue;
    }
    const counts = adapterCounts(description, adapter ? [adapter] : []);
    comparison.equal(
      `${name} ${peft}`,
      {
        trainable: adapter ? counts.trainable : counts.total,
        total: counts.total,
        wrapped: adapter?.wrappedSites.length ?? 0,
      },
      { trainable: expected.trainable, total: expected.total, wrapped: expected.wrapped_linears },
    );
  }
}

function attach(
  description: ModelDescription,
  peft: string,
  wrapped: number,
): Adapter | 'nothing matches' {
  try {
    return attachAdapter(
      'default',
      autogluonMethod(peft as AutogluonMethod),
      description,
      undefined,
    );
  } catch (error) {
    if (wrapped === 0 && error instanceof PeftError && error.code === 'PEFT_TARGET_NOT_FOUND')
      return 'nothing matches';
    throw error;
  }
}

function checkLayerIds(
  comparison: Comparison,
  left: Set<string>,
  table: LayerTable,
  config: Record<string, unknown>,
): void {
  const missing = table.peft === 'none' ? unsupported(config) : unsupported(config, table.peft);
  if (missing) return void left.add(missing);
  const where = `${basename(table.base)} ${table.peft}`;
  const description = describe(config);
  const rows = new Map(table.rows.map((row) => [row[0], row]));
  const { ids } = adapterLayerIds(description);
  for (const { name } of description.parameters)
    comparison.equal(`${where}: layer id of ${name}`, ids.get(name), rows.get(baseName(name))?.[1]);
  if (table.peft === 'none') return;
  const adapter = attachAdapter(
    'default',
    autogluonMethod(table.peft as AutogluonMethod),
    description,
    undefined,
  );
  const { group } = layerwiseDecay(description, {
    weightDecay: table.weight_decay,
    layerDecay: table.lr_decay,
  });
  comparison.equal(
    `${where}: trained`,
    trainablesOf(adapter).map(autogluonName).sort(),
    table.rows
      .filter(([, , trainable]) => trainable)
      .map(([name]) => name)
      .sort(),
  );
  for (const parameter of trainablesOf(adapter)) {
    const [name, , , rate, decay] = rows.get(autogluonName(parameter)) ?? [];
    if (name === undefined) continue;
    const { learningRateScale, weightDecay } = group(parameter);
    comparison.number(
      `${where}: learning rate of ${name}`,
      table.lr * learningRateScale,
      rate!,
      1e-12,
    );
    comparison.number(`${where}: weight decay of ${name}`, weightDecay, decay!, 0);
  }
}

/** Why a case cannot be run here. */
function unsupported(config: Readonly<Record<string, unknown>>, peft?: string): string | undefined {
  if (!architectures.some(({ modelTypes }) => modelTypes.includes(config['model_type'] as string)))
    return `model_type ${String(config['model_type'])}`;
  return peft !== undefined && !(AUTOGLUON_METHODS as readonly string[]).includes(peft)
    ? `optim.peft ${peft}`
    : undefined;
}

function describe(config: Record<string, unknown>): ModelDescription {
  const architecture = architectureFor(config['model_type'], architectures);
  return describeModel(architecture, architecture.parseConfig(config), HEAD);
}

const trainablesOf = (adapter: Adapter): OwnedParameter[] =>
  [...adapter.parameters.values()].filter(({ trainable }) => trainable);
const baseName = (name: string): string => (name.startsWith('head.') ? name : `model.${name}`);

/**
 * AutoGluon's name: `model.` before the backbone's, `lora_b` for an IA3 vector, no `.weight` after
 * LoRA's matrices.
 */
const autogluonName = ({ name }: OwnedParameter): string =>
  baseName(name)
    .replace(/\.ia3_l$/, '.lora_b')
    .replace(/\.(lora_[AB])\.weight$/, '.$1');

const readJson = <T>(path: string): T => JSON.parse(readFileSync(path, 'utf8')) as T;
