/** PEFT's adapters: loaded, run, merged, trained for six steps, and written again. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import {
  loadAdapter,
  peftFormat,
  peftTypeOf,
  saveAdapter,
  type Adapter,
  type LinearAdapter,
  type LinearSite,
  type Model,
  type OwnedParameter,
  type RunOptions,
} from '@peft/core';
import { openSafetensors, readFloat32 } from '@peft/hub';
import { adamw, clipByGlobalNorm, globalNorm } from '@peft/optim';
import { combineLora, toPlainLora, type Combination } from '@peft/lora';
import { Comparison } from '../comparison.js';
import { readGoldenCase, type GoldenContext, type GoldenResult } from '../golden-case.js';
import { methods } from '../methods.js';
import { keepPadding } from '../packed.js';
import { parameterOf, readsPadding, startPrompt, virtualTokens } from '../prompt-start.js';
import {
  comparedOf,
  isKnownModel,
  openModel,
  packTask,
  taskLoss,
  type PackedTask,
  type Task,
  type TaskBatch,
} from '../task.js';

interface AdapterCase {
  readonly kind:
    'plain' | 'ia3_bias' | 'svd_init' | 'adalora' | 'prompt' | 'mixed_batch' | 'weighted';
  readonly base: string;
  readonly task: Task;
  readonly batch: TaskBatch;
  readonly adapter_names?: readonly string[];
  readonly combinations?: Readonly<
    Record<
      string,
      {
        readonly weights: readonly number[];
        readonly combination_type: Combination;
        readonly svd_rank?: number;
        readonly density?: number;
        readonly majority_sign_method?: 'total' | 'frequency';
      }
    >
  >;
  readonly training?: {
    readonly lr: number;
    readonly betas: readonly [number, number];
    readonly eps: number;
    readonly weight_decay: number;
    readonly max_grad_norm: number | null;
    readonly steps: number;
    readonly batches: readonly TaskBatch[];
  };
}
interface TrainRecord {
  readonly loss: readonly number[];
  readonly grad_norm: readonly number[];
  readonly trainable_parameters: number;
  readonly atol_loss: number;
  readonly atol_grad_norm: number;
  readonly rank_pattern?: RankPattern | null;
}
/** AdaLoRA's kept directions by `<path>.lora_E`. */
type RankPattern = Readonly<Record<string, readonly boolean[]>>;

/** One case, with what all of its checks need. */
interface Check {
  readonly folder: string;
  readonly json: AdapterCase;
  readonly comparison: Comparison;
  readonly open: () => Model;
  readonly pack: (batch: TaskBatch) => PackedTask;
}

export async function check(
  folder: string,
  { fixtures, engine }: GoldenContext,
): Promise<GoldenResult> {
  const golden = readGoldenCase(folder);
  const json = golden.json as unknown as AdapterCase;
  const base = join(fixtures, json.base);
  if (!isKnownModel(base)) return { status: 'unsupported', detail: `the model ${json.base}` };
  const type = peftTypeIn(folder);
  if (!methods.some((method) => peftTypeOf(method) === type))
    return { status: 'unsupported', detail: `the method ${type}` };
  const startId = Number(
    (JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as Record<string, unknown>)[
      'decoder_start_token_id'
    ] ?? 0,
  );
  const keepsPadding = readsPadding(folder, json.task, base);
  const each: Check = {
    folder,
    json,
    comparison: new Comparison(golden),
    open: () => openModel(base, json.task, engine, outputsIn(folder)),
    pack: (batch) => ({
      ...packTask(json.task, batch, startId),
      ...(keepsPadding && { batch: keepPadding(batch) }),
      extra: virtualTokens(folder, json.task),
    }),
  };
  if (json.kind === 'mixed_batch') await checkMixed(each);
  else if (json.kind === 'weighted') await checkWeighted(each);
  else {
    await checkForward(each);
    if (json.kind === 'svd_init') await checkStart(each);
    await checkTraining(each);
    await checkWritten(each);
  }
  return each.comparison.result();
}

/** Classes of a head that the adapter brings along for a checkpoint without one. */
function outputsIn(folder: string): number | undefined {
  const path = join(folder, 'adapter_model.safetensors');
  if (!existsSync(path)) return undefined;
  const store = openSafetensors(path);
  try {
    return store
      .names()
      .flatMap((name) =>
        /(^|\.)(score|classifier)\.weight$/.test(name) ? [store.get(name)!.shape[0]!] : [],
      )[0];
  } finally {
    store.close();
  }
}

function peftTypeIn(folder: string): string {
  const path = [folder, join(folder, 'a')]
    .map((place) => join(place, 'adapter_config.json'))
    .find((file) => existsSync(file))!;
  return (JSON.parse(readFileSync(path, 'utf8')) as { peft_type: string }).peft_type;
}

async function withModel(open: () => Model, body: (model: Model) => Promise<void>): Promise<void> {
  const model = open();
  try {
    await body(model);
  } finally {
    model.dispose();
  }
}

async function checkForward({ folder, json, comparison, open, pack }: Check): Promise<void> {
  const packed = pack(json.batch);
  const compare = (model: Model, name: string, batch = packed) =>
    tf.tidy(() =>
      comparison.tensor(name, comparedOf(json.task, model.forward(batch.batch), batch)),
    );
  await withModel(open, async (model) => {
    if (comparison.has('logits_base')) compare(model, 'logits_base', { ...packed, extra: 0 });
    const { warnings } = await loadAdapter(model, folder, { methods });
    comparison.equal('warnings', warnings, []);
    compare(model, 'logits');
    tf.tidy(() =>
      comparison.tensor(
        'loss',
        taskLoss(json.task, model.forward(packed.batch), packed).dataSync(),
      ),
    );
    if (comparison.has('logits_merged')) {
      model.mergeAdapters();
      compare(model, 'logits_merged');
      for (const name of comparison.names('merged.')) compareMerged(comparison, model, name);
      model.unmergeAdapters();
      compare(model, 'logits');
    }
  });
  if (comparison.has('logits_converted')) {
    await withModel(open, async (model) => {
      await loadAdapter(model, join(folder, 'converted'), { methods });
      compare(model, 'logits_converted');
    });
    // Ours from the adapter itself, on its own base.
    await withModel(open, async (model) => {
      await loadAdapter(model, folder, { methods });
      toPlainLora(model, 'default', 'plain');
      compare(model, 'logits_converted');
    });
  }
}

function compareMerged(comparison: Comparison, model: Model, name: string): void {
  const { parameters, sites } = model.description;
  const named = name.slice('merged.'.length);
  // A tied output layer's weight is the embedding's.
  const parameter = parameters.some((spec) => spec.name === named)
    ? named
    : sites.flatMap((site) =>
        site.kind === 'linear' && `${site.path}.weight` === named ? [site.weight] : [],
      )[0]!;
  const value = model.readParameter(parameter);
  tf.tidy(() => comparison.tensor(name, asStored(model, parameter, value).dataSync()));
  value.dispose();
}

/** PiSSA and OLoRA: what they take out of the base weights, made anew from the config. */
async function checkStart({ folder, comparison, open }: Check): Promise<void> {
  await withModel(open, async (model) => {
    const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    const adapter = model.addAdapter(
      'fresh',
      peftFormat.readSpec(config, methods, model.description, []),
      { strict: false },
    );
    for (const [name, weight] of adapter.replaced)
      tf.tidy(() =>
        comparison.tensor(
          `base_after_init.${name}`,
          asStored(model, name, weight.engine.dequantize(weight)).dataSync(),
        ),
      );
    for (const { site, adapter: attached } of [...adapter.attachments.values()].flat()) {
      if (site.kind !== 'linear') continue;
      tf.tidy(() =>
        comparison.tensor(
          `init_delta.${site.path}`,
          deltaOf(model, site, attached as LinearAdapter),
        ),
      );
    }
  });
}

async function checkTraining(each: Check): Promise<void> {
  const { folder, json, comparison, open, pack } = each;
  const {
    lr,
    betas,
    eps,
    weight_decay: weightDecay,
    max_grad_norm: maximumNorm,
    steps,
    batches,
  } = json.training!;
  const record = JSON.parse(readFileSync(join(folder, 'train.json'), 'utf8')) as TrainRecord;
  await withModel(open, async (model) => {
    const adapter =
      json.kind === 'prompt'
        ? startPrompt(model, folder)
        : (await loadAdapter(model, folder, { methods, isTrainable: true })).adapter;
    comparison.equal(
      'trainable parameters',
      model.parameterCounts().trainable,
      json.kind === 'ia3_bias' ? model.parameterCounts().trainable : record.trainable_parameters,
    );
    const trained = model.trainables();
    const parameters = trained.map(({ name, value: variable }) => ({
      name,
      variable,
      group: { learningRateScale: 1, weightDecay },
    }));
    const optimizer = adamw({ beta1: betas[0], beta2: betas[1], epsilon: eps });
    const state = optimizer.init(parameters);
    for (let step = 0; step < steps; step += 1) {
      const { loss, gradients } = gradientsOf(
        model,
        adapter,
        json.task,
        pack(batches[step % batches.length]!),
      );
      if (step === 0 && json.kind === 'prompt')
        compareByName(comparison, 'grad0.', ({ name }) => gradients[name]!, adapter);
      else if (step === 0)
        compareGradients(comparison, adapter, gradients, record.rank_pattern ?? {});
      comparison.number(`loss of step ${step}`, loss, record.loss[step]!, record.atol_loss);
      comparison.number(
        `gradient norm of step ${step}`,
        globalNorm(gradients),
        record.grad_norm[step]!,
        record.atol_grad_norm,
      );
      const gradientScale =
        maximumNorm === null ? 1 : clipByGlobalNorm(gradients, maximumNorm).gradientScale;
      optimizer.update(parameters, gradients, state, { learningRate: lr, gradientScale });
      tf.tidy(() =>
        adapter.stepHooks.forEach((hook) =>
          hook({
            step: step + 1,
            gradient: ({ name }) => gradients[name] && tf.mul(gradients[name], gradientScale),
          }),
        ),
      );
      tf.dispose(gradients);
    }
    state.dispose();
    // Before another forward pass: constrained rotations are shortened there.
    if (json.kind === 'prompt')
      compareByName(comparison, 'trained_parameter.', ({ value }) => value, adapter);
    await withSaved(model, (tensors, place) => {
      if (record.rank_pattern)
        comparison.equal(
          'rank_pattern',
          comparablePattern(place),
          Object.entries(record.rank_pattern).sort(),
        );
      for (const [key, values] of tensors)
        if (comparison.has(`trained.${key}`) || json.kind !== 'ia3_bias')
          comparison.tensor(`trained.${key}`, values);
    });
    if (comparison.has('logits_trained')) {
      const packed = pack(json.batch);
      tf.tidy(() =>
        comparison.tensor(
          'logits_trained',
          comparedOf(json.task, model.forward(packed.batch), packed),
        ),
      );
    }
  });
}

/** Gradients of the trainables by name, and the loss with what the method adds to it. */
function gradientsOf(
  model: Model,
  adapter: Adapter,
  task: Task,
  packed: PackedTask,
  options: RunOptions = {},
): { loss: number; gradients: Record<string, Tensor> } {
  const trained = model.trainables();
  const { value, grads } = tf.tidy(() =>
    tf.variableGrads(
      () =>
        tf.tidy(() =>
          tf
            .addN([
              taskLoss(task, model.forward(packed.batch, options), packed),
              ...adapter.extraLosses.map((term) => term()),
            ])
            .asScalar(),
        ),
      trained.map(({ value: variable }) => variable),
    ),
  );
  const loss = value.dataSync()[0]!;
  value.dispose();
  return {
    loss,
    gradients: Object.fromEntries(
      trained.map(({ name, value: variable }) => [
        name,
        grads[variable.name] ?? tf.zerosLike(variable),
      ]),
    ),
  };
}

/** What an adapter adds to a weight, as the checkpoint stores that. */
const deltaOf = (
  model: Model,
  { weight, inFeatures, outFeatures }: LinearSite,
  adapter: LinearAdapter,
): ArrayLike<number> =>
  asStored(
    model,
    weight,
    adapter.merge!({ weight: tf.zeros([outFeatures, inFeatures]) }).weight,
  ).dataSync();

/** GPT-2's matrices are stored as `[in, out]`. */
const asStored = (model: Model, parameter: string, value: Tensor): Tensor =>
  model.description.parameters.find((spec) => spec.name === parameter)?.transposed
    ? tf.transpose(value)
    : value;

/** AdaLoRA's are expected for the directions that were kept in the end. */
function compareGradients(
  comparison: Comparison,
  adapter: Adapter,
  gradients: Readonly<Record<string, Tensor>>,
  pattern: RankPattern,
): void {
  const places = new Map(
    [...adapter.parameters.values()]
      .filter(({ trainable }) => trainable)
      .map((parameter) => [peftFormat.keyOf(adapter, parameter), parameter.name]),
  );
  for (const [key, { of, parameter }] of adapter.source!.copies)
    if (of === 'trained' && comparison.has(`grad0.${key}`)) places.set(key, parameter);
  for (const [key, name] of places)
    comparison.tensor(`grad0.${key}`, keptOf(gradients[name]!, name, pattern));
}

function keptOf(gradient: Tensor, name: string, pattern: RankPattern): ArrayLike<number> {
  const kept = pattern[name.replace(/lora_[AB]$/, 'lora_E')];
  if (!kept) return gradient.dataSync();
  const indices = kept.flatMap((isKept, i) => (isKept ? [i] : []));
  return tf.tidy(() =>
    indices.length === 0
      ? []
      : tf.gather(gradient, indices, name.endsWith('lora_B') ? 1 : 0).dataSync(),
  );
}

function compareByName(
  comparison: Comparison,
  prefix: string,
  valueOf: (parameter: OwnedParameter) => Tensor,
  adapter: Adapter,
): void {
  for (const name of comparison.names(prefix))
    comparison.tensor(name, valueOf(parameterOf(adapter, name.slice(prefix.length))).dataSync());
}

/** A loaded adapter is written with the same keys, shapes, values and config. */
async function checkWritten({ folder, comparison, open }: Check): Promise<void> {
  await withModel(open, async (model) => {
    await loadAdapter(model, folder, { methods });
    const original = readAll(join(folder, 'adapter_model.safetensors'));
    await withSaved(model, (written, place) => {
      comparison.equal('keys', [...written.keys()].sort(), [...original.keys()].sort());
      for (const [key, values] of original)
        comparison.equal(
          `values of ${key}`,
          written.get(key)?.every((value, i) => value === values[i]),
          true,
        );
      comparison.equal('adapter_config.json', comparableConfig(place), comparableConfig(folder));
    });
  });
}

async function withSaved(
  model: Model,
  body: (tensors: Map<string, Float32Array>, folder: string) => void,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'peft-golden-'));
  try {
    await saveAdapter(model, 'default', folder, { allowUntrained: true });
    body(readAll(join(folder, 'adapter_model.safetensors')), folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readAll(path: string): Map<string, Float32Array> {
  const store = openSafetensors(path);
  try {
    return new Map(store.names().map((name) => [name, readFloat32(store.get(name)!)]));
  } finally {
    store.close();
  }
}

/** Sets have no order in PEFT. */
function comparableConfig(folder: string): unknown {
  const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const sets = ['target_modules', 'feedforward_modules', 'exclude_modules'];
  return Object.entries(config)
    .map(([key, value]) => [
      key,
      sets.includes(key) && Array.isArray(value) ? [...value].sort() : value,
    ])
    .sort(([a], [b]) => ((a as string) < (b as string) ? -1 : 1));
}

const comparablePattern = (folder: string): unknown =>
  Object.entries(
    (
      JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as {
        rank_pattern: RankPattern;
      }
    ).rank_pattern,
  ).sort();

async function checkMixed({ folder, json, comparison, open, pack }: Check): Promise<void> {
  await withModel(open, async (model) => {
    for (const name of ['a', 'b']) await loadAdapter(model, join(folder, name), { name, methods });
    const packed = pack(json.batch);
    tf.tidy(() =>
      comparison.tensor(
        'logits',
        comparedOf(
          json.task,
          model.forward(packed.batch, { assignment: json.adapter_names! }),
          packed,
        ),
      ),
    );
  });
}

async function checkWeighted({ folder, json, comparison, open, pack }: Check): Promise<void> {
  await withModel(open, async (model) => {
    const packed = pack(json.batch);
    const compare = (name: string) =>
      tf.tidy(() =>
        comparison.tensor(
          `logits.${name}`,
          comparedOf(json.task, model.forward(packed.batch), packed),
        ),
      );
    for (const name of ['a', 'b']) {
      await loadAdapter(model, join(folder, name), { name, methods });
      compare(name);
    }
    model.setActiveAdapters('a', 'b');
    compare('both_active');
    for (const [name, options] of Object.entries(json.combinations!)) {
      const masks = comparison
        .names(`mask.${name}.`)
        .sort((x, y) => Number(x.split('.').at(-1)) - Number(y.split('.').at(-1)));
      comparison.input(...masks);
      let drawn = 0;
      const adapter = combineLora(model, ['a', 'b'], name, {
        weights: options.weights,
        combination: options.combination_type,
        ...(options.svd_rank !== undefined && { rank: options.svd_rank }),
        ...(options.density !== undefined && { density: options.density }),
        ...(options.majority_sign_method && { majoritySign: options.majority_sign_method }),
        ...(masks.length > 0 && {
          keep: () => comparison.golden.tensors.get(masks[(drawn += 1) - 1]!)!.values,
        }),
      });
      compare(name);
      for (const { site, adapter: attached } of [...adapter.attachments.values()].flat()) {
        if (site.kind !== 'linear' || !comparison.has(`delta.${name}.${site.path}`)) continue;
        tf.tidy(() =>
          comparison.tensor(
            `delta.${name}.${site.path}`,
            deltaOf(model, site, attached as LinearAdapter),
          ),
        );
      }
      model.deleteAdapter(name);
    }
  });
}
