/** Saving a run and going on with a saved one. */
import * as tf from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { readFloat32 } from '@peft/hub';
import { memorySource, onHost, type TensorSource } from '@peft/ops';
import { restoreState, stateTensors } from '@peft/optim';
import type { Checkpoint } from './checkpoint-store.js';
import {
  nonFiniteKeys,
  valuesOf,
  type KeyedParameter,
  type RunContext,
} from '../run/run-context.js';
import { differentSettings, requireSameSettings, type RunSettings } from '../run/run-settings.js';
import type { RunState } from './run-state.js';
import type { ParameterValues } from './soup.js';
import { divergedError } from '../step/divergence.js';
import { requireSameAdapters } from '../ranks/same-adapters.js';
import { hookMemory, restoreHookMemory } from '../step/step-hooks.js';

/**
 * Saves the run as it is and forgets the checkpoints that are neither among the best nor the last.
 * @throws PEFT_TRAIN_DIVERGED rather than save a parameter that is NaN; PEFT_RANKS_DIFFER;
 *   PEFT_CHECKPOINT_WRITE
 */
export async function saveCheckpoint(run: RunContext): Promise<void> {
  const { store, state } = run;
  if (!store) return;
  await requireFinite(run);
  await requireSameAdapters(run);
  const path = await store.save(await checkpointOf(run));
  run.savedStep = state.step;
  const score = state.top.find(({ step }) => step === state.step)?.score;
  run.emit({
    type: 'checkpoint/saved',
    step: state.step,
    path,
    score,
  });
  const kept = new Set([state.step, ...state.top.map(({ step }) => step)]);
  for (const step of await store.steps()) if (!kept.has(step)) await store.remove(step);
}

/**
 * @throws PEFT_TRAIN_DIVERGED when an update has made a parameter NaN or infinite: nothing after it
 *   can be right.
 */
export async function requireFinite(run: RunContext): Promise<void> {
  const { owned, state } = run;
  const names = await nonFiniteKeys(owned);
  if (names.length === 0) return;
  throw divergedError(
    run,
    `${names.length} parameters are no longer finite after step ${state.step}, ` +
      `among them ${names.slice(0, 3).join(', ')}`,
  );
}

async function checkpointOf({
  model,
  owned,
  optimizerState,
  state,
  clock,
  startedAtMs,
  request,
}: RunContext): Promise<Checkpoint> {
  return {
    state: {
      ...state,
      elapsedMs: state.elapsedMs + (clock.now() - startedAtMs),
      learningRate: request.schedule(state.step),
      task: request.task.state?.(),
    },
    parameters: [
      ...(await Promise.all(
        owned.map(async ({ key, parameter }) =>
          memorySource(key, parameter.shape, await valuesOf(parameter.value)),
        ),
      )),
      ...hookMemory(model),
    ],
    optimizer: await stateTensors(optimizerState),
  };
}

/**
 * Puts the run where the checkpoint of `step` left it.
 * @throws PEFT_CHECKPOINT_SETTINGS before anything is changed, PEFT_CHECKPOINT_DAMAGED
 */
export async function restoreCheckpoint(run: RunContext, step: number): Promise<void> {
  const saved = await run.store!.open(step);
  try {
    const isRestated = requireSame(run, saved.state.settings, step);
    run.request.task.restore?.(saved.state.task);
    const values = parameterValues(saved.parameters, run.owned, step);
    await restoreOptimizer(run, saved.optimizer, step);
    assignParameters(run, values);
    restoreHookMemory(run.model, saved.parameters);
    run.state = {
      ...(isRestated ? restated(saved.state, run) : saved.state),
      engine: run.state.engine,
    };
    run.savedStep = step;
    if (saved.state.engine !== run.state.engine) {
      run.emit({
        type: 'run/warned',
        code: 'PEFT_CHECKPOINT_ENGINE',
        message:
          `checkpoint-${step} was made on the engine ${saved.state.engine}, ` +
          `this is ${run.state.engine}: the run continues, but not bit for bit.`,
      });
    }
    if (run.collective.size > 1 && !saved.state.gradientSum) {
      run.emit({
        type: 'run/warned',
        code: 'PEFT_CHECKPOINT_SUM_ORDER',
        message:
          `checkpoint-${step} is of a run that added gradients one by one, and goes on so: most of ` +
          `each step is computed by the first of ${run.collective.size} ranks.`,
        hint: 'end it on one rank, or start a new run',
      });
    }
  } finally {
    saved.close();
  }
}

/** @returns whether the schedule is another one, which the options allow. */
function requireSame(run: RunContext, saved: RunSettings, step: number): boolean {
  const where = `checkpoint-${step}`;
  const names = differentSettings(saved, run.settings);
  const isRestated =
    run.options.restateSchedule === true &&
    names.length > 0 &&
    names.every((name) => SCHEDULE_SETTINGS.includes(name));
  if (!isRestated) {
    requireSameSettings(saved, run.settings, where);
    return false;
  }
  run.emit({
    type: 'run/warned',
    code: 'PEFT_TRAIN_SCHEDULE_RESTATED',
    message:
      `${where} was made with another learning-rate schedule; from step ${step + 1} on the ` +
      `present one counts (${run.request.schedule(step)} there).`,
  });
  return true;
}

const SCHEDULE_SETTINGS: readonly string[] = ['learning rate', 'learning-rate schedule'];

/** The state of a run that continues under other settings, also where early stopping had ended it. */
const restated = (saved: RunState, { settings, state }: RunContext): RunState => ({
  ...saved,
  settings,
  settingsHash: state.settingsHash,
  stopped: undefined,
  earlyStopping: { ...saved.earlyStopping, checksSinceBest: 0 },
});

/** The settings are the same, so a state that does not fit is damaged. */
async function restoreOptimizer(
  run: RunContext,
  saved: readonly TensorSource[],
  step: number,
): Promise<void> {
  try {
    await restoreState(run.optimizerState, saved);
  } catch (cause) {
    throw new PeftError(
      'PEFT_CHECKPOINT_DAMAGED',
      `trainer: checkpoint-${step} has another optimiser state: ${(cause as Error).message}`,
      { hint: 'resume from another checkpoint, or start again', cause },
    );
  }
}

/**
 * Puts all parameters of a checkpoint into the model, also those that do not train, and what hooks
 * remember; the optimiser and the position stay.
 */
export async function restoreAllParameters(run: RunContext, step: number): Promise<void> {
  const saved = await run.store!.open(step);
  try {
    assignParameters(run, parameterValues(saved.parameters, run.owned, step));
    restoreHookMemory(run.model, saved.parameters);
  } finally {
    saved.close();
  }
}

/** Values of a checkpoint's trainable parameters. */
export function loadTrainables(run: RunContext, step: number): Promise<ParameterValues> {
  return loadValues(
    run,
    step,
    run.owned.filter(({ parameter }) => parameter.trainable),
  );
}

async function loadValues(
  run: RunContext,
  step: number,
  wanted: readonly KeyedParameter[],
): Promise<ParameterValues> {
  const saved = await run.store!.open(step);
  try {
    return parameterValues(saved.parameters, wanted, step);
  } finally {
    saved.close();
  }
}

/**
 * Overwrites parameters with the values of the same keys; on a device they arrive with the first
 * operation.
 */
export const assignParameters = (
  { owned, model }: Pick<RunContext, 'owned' | 'model'>,
  values: ParameterValues,
): void => onHost(model.engine, () => assignAll(owned, values));

function assignAll(owned: readonly KeyedParameter[], values: ParameterValues): void {
  for (const { key, parameter } of owned) {
    const found = values.get(key);
    if (!found) continue;
    const { dtype } = parameter.value;
    // whole numbers (indices) keep their bits in a checkpoint
    const stored =
      dtype === 'int32' ? new Int32Array(found.buffer, found.byteOffset, found.length) : found;
    const tensor = tf.tensor(stored, [...parameter.shape], dtype);
    parameter.value.assign(tensor);
    tensor.dispose();
  }
}

function parameterValues(
  sources: readonly TensorSource[],
  wanted: readonly KeyedParameter[],
  step: number,
): Map<string, Float32Array> {
  const byName = new Map(sources.map((source) => [source.name, source]));
  return new Map(
    wanted.map(({ key, parameter }) => {
      const source = byName.get(key);
      if (!source || source.shape.join() !== parameter.shape.join()) {
        const got = source ? `${key} with the shape [${source.shape.join(', ')}]` : `no ${key}`;
        throw new PeftError(
          'PEFT_CHECKPOINT_DAMAGED',
          `trainer: checkpoint-${step} has ${got}, [${parameter.shape.join(', ')}] is wanted.`,
          { hint: 'resume from another checkpoint, or start again' },
        );
      }
      return [key, readFloat32(source)];
    }),
  );
}
