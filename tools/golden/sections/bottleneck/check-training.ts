/** Logits, and six steps of training: losses, gradients, norms and what was learnt. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import {
  adapterHubFormat,
  loadAdapter,
  type Adapter,
  type Model,
  type OwnedParameter,
} from '@peft/core';
import { adamw, clipByGlobalNorm, globalNorm } from '@peft/optim';
import { methods } from '../../methods.js';
import { comparedOf, taskLoss, type PackedTask, type Task } from '../../task.js';
import { withModel } from '../../with-model.js';
import { type TrainRecord, type Check, readAll } from './bottleneck-case.js';

export async function checkTraining(each: Check): Promise<void> {
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
        await globalNorm(gradients),
        record.grad_norm[step]!,
        record.atol_grad_norm,
      );
      await optimizer.update(parameters, gradients, state, {
        learningRate: lr,
        gradientScale:
          maximumNorm === null ? 1 : (await clipByGlobalNorm(gradients, maximumNorm)).gradientScale,
      });
      tf.dispose(gradients);
    }
    state.dispose();
    compareAll('trained.', ({ value }) => value.dataSync());
    if (comparison.has('logits_trained')) compare('logits_trained');
  });
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
