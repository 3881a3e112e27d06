/**
 * What must be equal for a run to be resumed exactly: named values, their hash, and the names of
 * those that differ.
 */
import { createHash } from 'node:crypto';
import type { Tensor } from '@tensorflow/tfjs';
import { parameterCount, type Model } from '@peft/core';
import { PeftError, show } from '@peft/errors';
import type { LearningRateSchedule, OptimizerState, TrainableParameter } from '@peft/optim';
import type { TrainingData } from '../validation/training-data.js';

/** Names and values, JSON-safe. Long lists go in as hashes. */
export type RunSettings = Readonly<Record<string, unknown>>;

/** sha256 of JSON with sorted keys, so that the order of keys does not matter. */
export function hashSettings(value: unknown): string {
  return createHash('sha256').update(sortedJson(value)).digest('hex');
}

/**
 * The model's part: type, sizes, a probe of its base weights, and the active adapters.
 * @param baseWeights what `probeWeights` gives on a rank that holds the tables
 */
export function modelSettings(model: Model, baseWeights: string): RunSettings {
  const { description } = model;
  return {
    'model type': description.modelType,
    'model parameters': parameterCount(description),
    'model shapes': hashSettings(description.parameters.map(({ name, shape }) => [name, shape])),
    'base weights': baseWeights,
    'task head': description.head,
    adapters: model.activeAdapters.map((name) => {
      const { spec, parameters } = model.adapter(name);
      return {
        name,
        methods: spec.parts.map(({ method, config }) => ({ name: method.name, config })),
        parameters: hashSettings(
          [...parameters.values()].map(({ name: parameter, shape, trainable }) => [
            parameter,
            shape,
            trainable,
          ]),
        ),
      };
    }),
  };
}

/**
 * A hash over all small base tensors and four rows of each table, which tells checkpoints apart
 * without reading all of them.
 */
export async function probeWeights({ description, weights }: Model): Promise<string> {
  const hash = createHash('sha256');
  const add = async (name: string, tensor: Tensor): Promise<void> => {
    const values = await tensor.data<'float32'>(); // read once per run
    hash.update(name).update(new Uint8Array(values.slice().buffer));
  };
  for (const { name, use, shape } of description.parameters) {
    if (use === 'matrix') continue;
    const weight = weights.get(name);
    if (!('engine' in weight)) await add(name, weight);
    else {
      const last = shape[0]! - 1;
      const rows = weight.engine.gather(
        weight,
        Int32Array.of(0, Math.floor(last / 3), Math.floor((2 * last) / 3), last),
      );
      await add(name, rows);
      rows.dispose();
    }
  }
  return hash.digest('hex');
}

/**
 * The optimiser's part: its name, the groups and the schedule, which is probed at the steps 0, 1,
 * 2, 4, 8 … 2¹⁹.
 */
export function optimizerSettings(
  optimizerState: OptimizerState,
  parameters: readonly TrainableParameter[],
  schedule: LearningRateSchedule,
): RunSettings {
  const probes = [0, ...Array.from({ length: 20 }, (_, i) => 2 ** i)];
  return {
    optimizer: optimizerState.optimizer,
    'parameter groups': hashSettings(parameters.map(({ name, group }) => [name, group])),
    'learning rate': schedule(0),
    'learning-rate schedule': hashSettings(probes.map((step) => String(schedule(step)))),
  };
}

/** The data's part. */
export function dataSettings(data: TrainingData): RunSettings {
  return {
    examples: data.lengths.length,
    'example lengths': hashSettings(Array.from(data.lengths)),
  };
}

/** As it will come back from a file. */
export const jsonSafe = (settings: RunSettings): RunSettings =>
  JSON.parse(JSON.stringify(settings)) as RunSettings;

/** Names of the settings that differ. */
export function differentSettings(saved: RunSettings, present: RunSettings): string[] {
  return [...new Set([...Object.keys(saved), ...Object.keys(present)])].filter(
    (name) => sortedJson(saved[name]) !== sortedJson(present[name]),
  );
}

/** @throws PEFT_CHECKPOINT_SETTINGS naming each setting that differs */
export function requireSameSettings(saved: RunSettings, present: RunSettings, where: string): void {
  const names = differentSettings(saved, present);
  if (names.length === 0) return;
  const list = names.map(
    (name) => `${name} (${show(saved[name])} there, ${show(present[name])} here)`,
  );
  throw new PeftError(
    'PEFT_CHECKPOINT_SETTINGS',
    `trainer: ${where} is of a run with other settings: ${list.join('; ')}.`,
    {
      hint: 'resume with the settings, model and data that made it, or start a new run in another folder',
    },
  );
}

function sortedJson(value: unknown): string {
  return (
    JSON.stringify(value, (_key, item: unknown) =>
      typeof item === 'object' && item !== null && !Array.isArray(item)
        ? // no two keys of an object are equal
          Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
        : item,
    ) ?? 'undefined'
  );
}
