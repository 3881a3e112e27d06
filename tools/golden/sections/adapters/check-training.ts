/** Six steps of training: losses, gradients, norms and what was learnt. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import {
  loadAdapter,
  packExperts,
  peftFormat,
  type Adapter,
  type Model,
  type OwnedParameter,
  type RunOptions,
} from '@peft/core';
import type { NewTensor } from '@peft/hub';
import { adamw, clipByGlobalNorm, globalNorm } from '@peft/optim';
import { type Comparison } from '../../comparison.js';
import { methods } from '../../methods.js';
import { parameterOf, startPrompt } from '../../prompt-start.js';
import { comparedOf, taskLoss, type PackedTask, type Task } from '../../task.js';
import { withModel } from '../../with-model.js';
import { type TrainRecord, type RankPattern, type Check } from './adapter-case.js';
import { withSaved } from './check-written.js';

export async function checkTraining(each: Check): Promise<void> {
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
      const packed = pack(batches[step % batches.length]!);
      const { loss, gradients, none } = gradientsOf(model, adapter, json.task, packed, {
        training: isKeptInShort(adapter),
      });
      if (step === 0 && json.kind === 'prompt')
        compareByName(comparison, 'grad0.', ({ name }) => gradients[name] ?? none[name]!, adapter);
      else if (step === 0)
        compareGradients(comparison, adapter, { ...none, ...gradients }, record.rank_pattern ?? {});
      comparison.number(`loss of step ${step}`, loss, record.loss[step]!, record.atol_loss);
      comparison.number(
        `gradient norm of step ${step}`,
        await globalNorm(gradients),
        record.grad_norm[step]!,
        record.atol_grad_norm,
      );
      const gradientScale =
        maximumNorm === null ? 1 : (await clipByGlobalNorm(gradients, maximumNorm)).gradientScale;
      await optimizer.update(parameters, gradients, state, { learningRate: lr, gradientScale });
      const scaled: Record<string, Tensor> = Object.fromEntries(
        Object.entries(gradients).map(([name, each]) => [name, tf.mul(each, gradientScale)]),
      );
      for (const hook of adapter.stepHooks)
        await hook({ step: step + 1, gradient: ({ name }) => scaled[name] });
      tf.dispose([gradients, none, scaled]);
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
        if (key.endsWith('.lora_velora_embed'))
          continue; // of no use to the next step
        else if (comparison.has(`trained.${key}`) || json.kind !== 'ia3_bias')
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

/** VeLoRA, whose cases were made in training mode on a base without dropout. */
const isKeptInShort = (adapter: Adapter): boolean =>
  adapter.spec.parts.some(({ config }) => 'velora' in config && config['velora']);

/**
 * Gradients of the trainables by name, zeros for those that the loss does not depend on, and the loss
 * with what the method adds to it. An expert that no token went to is part of a parameter of PEFT's
 * that has a gradient, and is updated with it.
 */
export function gradientsOf(
  model: Model,
  adapter: Adapter,
  task: Task,
  packed: PackedTask,
  options: RunOptions = {},
): { loss: number; gradients: Record<string, Tensor>; none: Record<string, Tensor> } {
  const trained = model.trainables();
  // PEFT leaves it to the training loop to add KaSA's terms
  const isKasa = adapter.spec.parts.some(({ config }) => 'kasa' in config && config['kasa']);
  const extraLosses = isKasa ? [] : adapter.extraLosses;
  const { value, grads } = tf.tidy(() =>
    tf.variableGrads(
      () =>
        tf.tidy(() =>
          tf
            .addN([
              taskLoss(task, model.forward(packed.batch, options), packed),
              ...extraLosses.map((term) => term()),
            ])
            .asScalar(),
        ),
      trained.map(({ value: variable }) => variable),
    ),
  );
  const loss = value.dataSync()[0]!;
  value.dispose();
  for (const { name, value: variable } of trained) {
    const site = adapter.parameters.get(name)?.site;
    if (site?.kind === 'linear' && site.entry) grads[variable.name] ??= tf.zerosLike(variable);
  }
  return {
    loss,
    gradients: Object.fromEntries(
      trained.flatMap(({ name, value: { name: key } }) => (grads[key] ? [[name, grads[key]]] : [])),
    ),
    none: Object.fromEntries(
      trained.flatMap(({ name, value: variable }) =>
        grads[variable.name] ? [] : [[name, tf.zerosLike(variable)]],
      ),
    ),
  };
}

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
  const tensors: NewTensor[] = [];
  for (const [key, name] of places) {
    const { form } = adapter.parameters.get(name)!;
    if (form) {
      // parts of what is no gradient
      comparison.input(...form.parts.map(({ suffix }) => `grad0.${key}${suffix}`));
      continue;
    }
    // the cases leave out what belongs to no module
    if (!adapter.parameters.get(name)!.site && !comparison.has(`grad0.${key}`)) continue;
    tensors.push({
      name: key,
      dtype: 'F32',
      shape: gradients[name]!.shape,
      data: Float32Array.from(keptOf(gradients[name]!, name, pattern)),
    });
  }
  for (const { name, data } of packExperts(adapter, peftFormat, tensors))
    comparison.tensor(`grad0.${name}`, data as Float32Array);
  // indices, which the cases store among the gradients
  comparison.input(
    ...[...adapter.parameters.values()]
      .filter(({ storedAs }) => storedAs !== undefined)
      .map((parameter) => `grad0.${peftFormat.keyOf(adapter, parameter)}`)
      .filter((name) => comparison.has(name)),
  );
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

const comparablePattern = (folder: string): unknown =>
  Object.entries(
    (
      JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as {
        rank_pattern: RankPattern;
      }
    ).rank_pattern,
  ).sort();
