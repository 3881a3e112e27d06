/** LoRA's starts from data: what PEFT starts with for the same batches, and three steps from there. */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { startedSpec, type Adapter, type Model, type ModelBatch, type StartData } from '@peft/core';
import { lora, strengthAt, type LoraConfig } from '@peft/lora';
import { adamw } from '@peft/optim';
import { rowsOf, variableGradients } from '@peft/ops';
import { Comparison } from '../comparison.js';
import { readGoldenCase, type GoldenContext, type GoldenResult } from '../golden-case.js';
import { packRows } from '../packed.js';
import {
  openModel,
  packTask,
  taskLoss,
  type PackedTask,
  type Task,
  type TaskBatch,
} from '../task.js';
import { withModel } from '../with-model.js';

interface StartCase {
  readonly base: string;
  readonly task: Task;
  /** The toolkit's. */
  readonly options: Partial<LoraConfig> & { readonly targets: readonly string[] };
  readonly strengths: Readonly<Record<string, { readonly rank: number; readonly scaling: number }>>;
  readonly batches: readonly TaskBatch[];
  readonly training: {
    readonly lr: number;
    readonly betas: readonly [number, number];
    readonly eps: number;
    readonly weight_decay: number;
    readonly steps: number;
    readonly losses: readonly number[];
    readonly atol_loss: number;
  };
}

export async function check(
  folder: string,
  { fixtures, engine }: GoldenContext,
): Promise<GoldenResult> {
  const golden = readGoldenCase(folder);
  const json = golden.json as unknown as StartCase;
  const comparison = new Comparison(golden);
  await withModel(
    () => openModel(join(fixtures, json.base), json.task, engine),
    async (model) => {
      const packed = json.batches.map((batch) => withLabels(json.task, batch));
      const spec = await startedSpec(model, lora(json.options), dataOf(model, json.task, packed));
      const adapter = model.addAdapter('default', spec);
      compareStrengths(comparison, adapter, json);
      turnAsExpected(comparison, adapter);
      await compareSteps(comparison, model, adapter, json, packed);
    },
  );
  return comparison.result();
}

type LabelledTask = PackedTask & {
  readonly batch: ModelBatch & { readonly tokenLabels: Int32Array };
};

/** With the labels that say which tokens count. */
function withLabels(task: Task, batch: TaskBatch): LabelledTask {
  const packed = packTask(task, batch, 0);
  const { values: tokenLabels } = packRows(
    batch.labels as readonly (readonly number[])[],
    batch.attention_mask,
  );
  return { ...packed, batch: { ...packed.batch, tokenLabels } };
}

function dataOf(model: Model, task: Task, packed: readonly LabelledTask[]): StartData {
  return {
    async *batches(count) {
      for (const { batch } of packed.slice(0, count)) yield batch;
    },
    loss: (batch) =>
      taskLoss(
        task,
        model.forward(batch),
        packed.find((each) => each.batch === batch)!,
      ),
  };
}

function compareStrengths(comparison: Comparison, adapter: Adapter, json: StartCase): void {
  const { part, sites } = adapter.parts[0]!;
  const strengths = sites.map(({ path }) => [path, strengthAt(path, part.config as LoraConfig)]);
  const sorted = (entries: readonly (readonly unknown[])[]) => [...entries].sort();
  comparison.equal(
    'ranks and strengths',
    sorted(strengths),
    sorted(Object.entries(json.strengths)),
  );
}

/**
 * Compares A and B with the signs of singular vectors as they are expected, and starts from there:
 * with other signs PEFT would have started the same.
 */
function turnAsExpected(comparison: Comparison, adapter: Adapter): void {
  for (const { path } of adapter.parts[0]!.sites)
    for (const factor of ['A', 'B'] as const) {
      const name = `${factor}.${path}`;
      const parameter = adapter.parameters.get(`${path}.lora_${factor}.weight`)!;
      const [rows, columns] = parameter.shape as [number, number];
      const ours = rowsOf(parameter.value.dataSync(), rows, columns);
      const theirs = rowsOf(comparison.golden.tensors.get(name)!.values, rows, columns);
      const sign = (some: (i: number, j: number) => boolean): number => {
        let product = 0;
        ours.forEach((row, i) =>
          row.forEach((value, j) => (product += some(i, j) ? value * theirs[i]![j]! : 0)),
        );
        return product < 0 ? -1 : 1;
      };
      const signs = Array.from({ length: factor === 'A' ? rows : columns }, (_, k) =>
        sign((i, j) => (factor === 'A' ? i : j) === k),
      );
      const isSettled = adapter.parameters.get(`${path}.lora_A.start`) === undefined; // EVA's
      const turned = Float32Array.from({ length: rows * columns }, (_, at) => {
        const [i, j] = [Math.floor(at / columns), at % columns];
        return ours[i]![j]! * (isSettled ? 1 : signs[factor === 'A' ? i : j]!);
      });
      comparison.tensor(name, turned);
      const start = adapter.parameters.get(`${path}.lora_${factor}.start`);
      tf.tidy(() => {
        const values = tf.tensor2d(turned, [rows, columns]);
        for (const each of [parameter, ...(start ? [start] : [])]) each.value.assign(values);
      });
    }
}

async function compareSteps(
  comparison: Comparison,
  model: Model,
  adapter: Adapter,
  { task, training }: StartCase,
  packed: readonly LabelledTask[],
): Promise<void> {
  const { lr, betas, eps, weight_decay: weightDecay, steps, losses, atol_loss } = training;
  const trained = model.trainables();
  const parameters = trained.map(({ name, value: variable }) => ({
    name,
    variable,
    group: { learningRateScale: 1, weightDecay },
  }));
  const optimizer = adamw({ beta1: betas[0], beta2: betas[1], epsilon: eps });
  const state = optimizer.init(parameters);
  for (let step = 0; step < steps; step += 1) {
    const each = packed[step % packed.length]!;
    const { value, gradients } = tf.tidy(() =>
      variableGradients(
        () => taskLoss(task, model.forward(each.batch), each),
        trained.map((parameter) => parameter.value),
      ),
    );
    comparison.number(`loss of step ${step}`, value.dataSync()[0]!, losses[step]!, atol_loss);
    const named = Object.fromEntries(
      trained.map(({ name, value: variable }) => [name, gradients[variable.name]!]),
    );
    await optimizer.update(parameters, named, state, { learningRate: lr });
    tf.dispose([value, gradients]);
  }
  state.dispose();
  for (const { path } of adapter.parts[0]!.sites)
    for (const factor of ['A', 'B'] as const)
      comparison.tensor(
        `trained.${factor}.${path}`,
        adapter.parameters.get(`${path}.lora_${factor}.weight`)!.value.dataSync(),
      );
}
