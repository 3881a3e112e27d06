/** adapter-hub's adapters: loaded, run, trained for six steps, and written again. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import {
  adapterHubFormat,
  loadAdapter,
  PeftError,
  saveAdapter,
  type Adapter,
  type Model,
  type OwnedParameter,
} from '@peft/core';
import { openSafetensors, readFloat32 } from '@peft/hub';
import { adamw, clipByGlobalNorm, globalNorm } from '@peft/optim';
import { Comparison } from '../comparison.js';
import { readGoldenCase, type GoldenContext, type GoldenResult } from '../golden-case.js';
import { methods } from '../methods.js';
import { keepPadding } from '../packed.js';
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

interface BottleneckCase {
  readonly kind: 'single' | 'stack' | 'fusion';
  readonly base: string;
  readonly task: Task;
  readonly adapters: readonly string[];
  readonly config: Readonly<Record<string, unknown>>;
  readonly batch: TaskBatch;
  /** Absent where the library's gradient is another than ours on purpose. */
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
}
interface Check {
  readonly folder: string;
  readonly json: BottleneckCase;
  readonly comparison: Comparison;
  readonly open: () => Model;
  readonly pack: (batch: TaskBatch) => PackedTask;
}

/** What a case may be refused for, without having failed. */
const UNSUPPORTED = ['PEFT_METHOD_UNKNOWN', 'PEFT_CONFIG_UNSUPPORTED'];

export async function check(
  folder: string,
  { fixtures, engine }: GoldenContext,
): Promise<GoldenResult> {
  const golden = readGoldenCase(folder);
  const json = golden.json as unknown as BottleneckCase;
  const base = join(fixtures, json.base);
  if (!isKnownModel(base)) return { status: 'unsupported', detail: `the model ${json.base}` };
  const startId = Number(
    (JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as Record<string, unknown>)[
      'decoder_start_token_id'
    ] ?? 0,
  );
  const hasGates = /"use_gating":true/.test(JSON.stringify(json.config));
  const pack = (batch: TaskBatch): PackedTask => {
    const packed = packTask(json.task, batch, startId);
    return hasGates && json.task === 'seqcls' ? { ...packed, batch: keepPadding(batch) } : packed; // the library's gates are means over padding, too
  };
  const each: Check = {
    folder,
    json,
    comparison: new Comparison(golden),
    open: () => openModel(base, json.task, engine),
    pack,
  };
  try {
    await checkTraining(each);
    await checkWritten(each);
  } catch (error) {
    if (error instanceof PeftError && UNSUPPORTED.includes(error.code))
      return { status: 'unsupported', detail: error.message.split('\n')[0]! };
    throw error;
  }
  return each.comparison.result();
}

async function withModel(open: () => Model, body: (model: Model) => Promise<void>): Promise<void> {
  const model = open();
  try {
    await body(model);
  } finally {
    model.dispose();
  }
}

/** Loads what the case names and makes it active, with its head. */
async function loadAll({ folder, json }: Check, model: Model): Promise<Adapter[]> {
  const adapters: Adapter[] = [];
  for (const name of json.adapters)
    adapters.push(
      (await loadAdapter(model, join(folder, name), { name, methods, isTrainable: true })).adapter,
    );
  if (json.kind === 'fusion')
    adapters.push(
      (
        await loadAdapter(model, join(folder, 'fusion'), {
          name: 'fusion',
          methods,
          isTrainable: true,
        })
      ).adapter,
    );
  const active = json.kind === 'fusion' ? adapters.slice(-1) : adapters;
  model.setActiveAdapters(...active.map(({ name }) => name));
  const head = join(folder, 'head.safetensors');
  if (existsSync(head))
    for (const [name, values] of readAll(head))
      for (const adapter of active) assign(adapter.parameters.get(name)!, values);
  return active;
}

function assign({ value }: OwnedParameter, values: Float32Array): void {
  tf.tidy(() => value.assign(tf.tensor(values, value.shape)));
}

async function checkTraining(each: Check): Promise<void> {
  const { folder, json, comparison, open, pack } = each;
  await withModel(open, async (model) => {
    const packed = pack(json.batch);
    const compare = (name: string) =>
      tf.tidy(() =>
        comparison.tensor(name, comparedOf(json.task, model.forward(packed.batch), packed)),
      );
    if (comparison.has('logits_base')) compare('logits_base');
    const active = await loadAll(each, model);
    compare('logits');
    tf.tidy(() =>
      comparison.tensor(
        'loss',
        taskLoss(json.task, model.forward(packed.batch), packed).dataSync(),
      ),
    );

    if (!json.training) return;
    const {
      lr,
      betas,
      eps,
      weight_decay: weightDecay,
      max_grad_norm: maximumNorm,
      steps,
      batches,
    } = json.training;
    const record = JSON.parse(readFileSync(join(folder, 'train.json'), 'utf8')) as TrainRecord;
    // The outermost adapter's head is in force.
    const trained = model
      .trainables()
      .filter(
        ({ name, origin }, i, all) =>
          origin === 'new' || all.findLastIndex((other) => other.name === name) === i,
      );
    comparison.equal(
      'trainable parameters',
      trained.reduce(
        (sum, { shape }) => sum + shape.reduce((product, length) => product * length, 1),
        0,
      ),
      record.trainable_parameters,
    );
    const keys = new Map(trained.map((parameter) => [parameter, parameter.value.name]));
    const parameters = trained.map((parameter) => ({
      name: keys.get(parameter)!,
      variable: parameter.value,
      group: { learningRateScale: 1, weightDecay },
    }));
    const compareAll = (
      prefix: string,
      valuesOf: (parameter: OwnedParameter) => ArrayLike<number>,
    ) => {
      for (const name of comparison.names(prefix)) {
        const parameter = parameterFor(name.slice(prefix.length), active, trained);
        if (parameter) comparison.tensor(name, valuesOf(parameter));
      }
    };
    const optimizer = adamw({ beta1: betas[0], beta2: betas[1], epsilon: eps });
    const state = optimizer.init(parameters);
    for (let step = 0; step < steps; step += 1) {
      const { loss, gradients } = gradientsOf(
        model,
        trained,
        json.task,
        pack(batches[step % batches.length]!),
      );
      if (step === 0) compareAll('grad0.', ({ value }) => gradients[value.name]!.dataSync());
      comparison.number(`loss of step ${step}`, loss, record.loss[step]!, record.atol_loss);
      comparison.number(
        `gradient norm of step ${step}`,
        globalNorm(gradients),
        record.grad_norm[step]!,
        record.atol_grad_norm,
      );
      optimizer.update(parameters, gradients, state, {
        learningRate: lr,
        gradientScale:
          maximumNorm === null ? 1 : clipByGlobalNorm(gradients, maximumNorm).gradientScale,
      });
      tf.dispose(gradients);
    }
    state.dispose();
    compareAll('trained.', ({ value }) => value.dataSync());
    if (comparison.has('logits_trained')) compare('logits_trained');
  });
}

/** The trained parameter that a key of the library's state names. */
function parameterFor(
  key: string,
  adapters: readonly Adapter[],
  trained: readonly OwnedParameter[],
): OwnedParameter | undefined {
  const owner = adapters.find((adapter) => key.includes(`.${adapter.name}.`)) ?? adapters.at(-1)!;
  const format = owner.parts[0]!.part.method.format ?? adapterHubFormat;
  const name = format.readKey(key, { adapter: owner, keys: [key] })?.name;
  return (
    trained.find((parameter) => parameter === owner.parameters.get(name ?? '')) ??
    trained.find((parameter) => parameter.origin === 'unfrozen' && parameter.name === name)
  );
}

function gradientsOf(
  model: Model,
  trained: readonly OwnedParameter[],
  task: Task,
  packed: PackedTask,
): { loss: number; gradients: Record<string, Tensor> } {
  const { value, grads } = tf.tidy(() =>
    tf.variableGrads(
      () => tf.tidy(() => taskLoss(task, model.forward(packed.batch), packed)),
      trained.map(({ value: variable }) => variable),
    ),
  );
  const loss = value.dataSync()[0]!;
  value.dispose();
  return {
    loss,
    gradients: Object.fromEntries(
      trained.map(({ value: variable }) => [
        variable.name,
        grads[variable.name] ?? tf.zerosLike(variable),
      ]),
    ),
  };
}

/**
 * A loaded adapter is written with the same keys, shapes, values and config, also one that was read
 * from the library's own file.
 */
async function checkWritten({ folder, json, comparison, open }: Check): Promise<void> {
  const folders = [...json.adapters, ...(json.kind === 'fusion' ? ['fusion'] : [])];
  for (const name of folders) {
    await withModel(open, async (model) => {
      const source = join(folder, name);
      const { adapter, warnings } = await loadAdapter(model, source, { name, methods });
      comparison.equal(`warnings of ${name}`, warnings, []);
      await withSaved(model, name, (written) => {
        for (const file of ['adapter.safetensors', 'model_adapter_fusion.safetensors'].filter(
          (each) => existsSync(join(source, each)),
        )) {
          comparison.equal(
            `${name}/${file}`,
            fingerprints(join(written, file)),
            fingerprints(join(source, file)),
          );
        }
        for (const file of ['adapter_config.json', 'adapter_fusion_config.json'].filter((each) =>
          existsSync(join(source, each)),
        )) {
          comparison.equal(
            `${name}/${file}`,
            readFileSync(join(written, file), 'utf8'),
            readFileSync(join(source, file), 'utf8'),
          );
        }
      });
      adapter.source = undefined;
      await withSaved(
        model,
        name,
        (written) => {
          const file = ['adapter_config.json', 'adapter_fusion_config.json'].find((each) =>
            existsSync(join(source, each)),
          )!;
          comparison.equal(
            `${name}: a new ${file}`,
            sortedJson(join(written, file)),
            sortedJson(join(source, file)),
          );
        },
        json.base,
      );
      if (existsSync(join(source, 'pytorch_adapter.bin')))
        await compareTorchFile(comparison, adapter, source, open);
    });
  }
}

/** The library's own file means the same. */
async function compareTorchFile(
  comparison: Comparison,
  adapter: Adapter,
  source: string,
  open: () => Model,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'peft-golden-'));
  try {
    for (const file of ['adapter_config.json', 'pytorch_adapter.bin'])
      copyFileSync(join(source, file), join(folder, file));
    await withModel(open, async (model) => {
      const { adapter: other } = await loadAdapter(model, folder, { methods });
      for (const [name, { value }] of adapter.parameters)
        comparison.equal(
          `${name} of pytorch_adapter.bin`,
          [...other.parameters.get(name)!.value.dataSync()],
          [...value.dataSync()],
        );
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function withSaved(
  model: Model,
  name: string,
  body: (folder: string) => void,
  baseModel?: string,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'peft-golden-'));
  try {
    await saveAdapter(model, name, folder, {
      allowUntrained: true,
      ...(baseModel !== undefined && { baseModel }),
      ...(adapterHubOnly(model, name) && { format: adapterHubFormat }),
    });
    body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Methods that PEFT has, too, are written in its layout unless asked otherwise. */
const adapterHubOnly = (model: Model, name: string): boolean =>
  model.adapter(name).parts.every(({ part }) => part.method.format === undefined);

function readAll(path: string): Map<string, Float32Array> {
  const store = openSafetensors(path);
  try {
    return new Map(store.names().map((name) => [name, readFloat32(store.get(name)!)]));
  } finally {
    store.close();
  }
}

/** Keys with shapes and values, in no order. */
function fingerprints(path: string): unknown {
  const store = openSafetensors(path);
  try {
    return store
      .names()
      .sort()
      .map((name) => {
        const { shape, dtype } = store.get(name)!;
        const values = readFloat32(store.get(name)!);
        return [
          name,
          dtype,
          shape,
          values.reduce((sum, value, i) => sum + value * ((i % 97) + 1), 0),
        ];
      });
  } finally {
    store.close();
  }
}

const sortedJson = (path: string): unknown =>
  Object.entries(JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>).sort(
    ([a], [b]) => (a < b ? -1 : 1),
  );
