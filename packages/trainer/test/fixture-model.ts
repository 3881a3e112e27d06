/** Fixture models of transformers and what their tests of tasks share. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll } from 'vitest';
import {
  architectureFor,
  loadModel,
  type HeadOptions,
  type MethodSpec,
  type Model,
  type ModelBatch,
} from '@peft/core';
import { type TokenBatch } from '@peft/data';
import { openCheckpoint } from '@peft/hub';
import { architectures } from '@peft/models';
import { readInScope, type Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { forwardTask, type CausalBatch, type Seq2SeqBatch, type Task } from '../src/index.js';

let engine: Engine;

/** Starts and ends one portable engine for the tests of a file. */
export function useEngine(): void {
  beforeAll(async () => {
    engine = await createPortableEngine();
    await engine.activate();
  });
  afterAll(() => engine.dispose());
}

export const FIXTURES = fileURLToPath(new URL('../../testing/fixtures/models', import.meta.url));

/** A fixture model of @peft/testing on the engine of {@link useEngine}. */
export function open(name: string, head: HeadOptions): Model {
  const folder = join(FIXTURES, name);
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const store = openCheckpoint(folder);
  try {
    return loadModel(architectureFor(config['model_type'], architectures), config, store, engine, {
      head,
    });
  } finally {
    store.close();
  }
}

export interface PaddedCase {
  readonly batch: {
    readonly input_ids: number[][];
    readonly attention_mask: number[][];
    readonly labels: number[][];
  };
}
export const caseOf = (name: string): PaddedCase =>
  JSON.parse(readFileSync(join(FIXTURES, name, 'case.json'), 'utf8')) as PaddedCase;
export const attended = (rows: number[][], mask: number[][]): number[][] =>
  rows.map((row, b) => row.filter((_, t) => mask[b]![t] === 1));

export function causalRows(name: string): { inputIds: number[]; labels: number[] }[] {
  const { input_ids, attention_mask, labels } = caseOf(name).batch;
  const kept = attended(labels, attention_mask);
  return attended(input_ids, attention_mask).map((inputIds, b) => ({ inputIds, labels: kept[b]! }));
}

export const lossOf = <B extends CausalBatch | Seq2SeqBatch>(
  task: Task<B>,
  model: Model,
  batch: B,
): number =>
  tf.tidy(() => task.loss(forwardTask(task, model, batch, {}), batch).dataSync()[0]!) /
  task.count(batch);

export const predicted = <B extends ModelBatch, P>(
  task: Task<B, P>,
  model: Model,
  batch: B,
): Promise<readonly P[]> =>
  readInScope(() => task.predict(forwardTask(task, model, batch, {}), batch));

/** Σ loss and its gradients by name, of the adapter. */
export function gradientsOf<B extends TokenBatch>(
  task: Task<B>,
  model: Model,
  batch: B,
): { readonly loss: number; readonly gradients: Record<string, Float32Array> } {
  const parameters = model.trainables();
  return tf.tidy(() => {
    const { value, grads } = tf.variableGrads(
      () => task.loss(forwardTask(task, model, batch, {}), batch),
      parameters.map(({ value: variable }) => variable),
    );
    return {
      loss: value.dataSync()[0]!,
      gradients: Object.fromEntries(
        parameters.map(({ name, value: variable }) => [
          name,
          grads[variable.name]!.dataSync<'float32'>().slice(),
        ]),
      ),
    };
  });
}

export function addRandom(model: Model, spec: MethodSpec): void {
  for (const { value } of model.addAdapter('default', spec, { seed: 2 }).parameters.values())
    tf.tidy(() => value.assign(tf.add(value, tf.randomNormal(value.shape, 0, 0.1, 'float32', 4))));
}
