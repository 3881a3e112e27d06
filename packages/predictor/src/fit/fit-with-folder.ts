/** A fit and the folder that it leaves checkpoints and the record of its run in. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { TrainEvent } from '@peft/core';
import { CLOCK, createRunFolder, EVENT_BUS, type RunFolder } from '@peft/trainer';
import { CHECKPOINT_FOLDER, checkOutputFolder } from '../folder/predictor-folder.js';
import type { PredictorState } from '../model/predictor-state.js';
import { CHECKPOINT_STORES } from '../predictor-module.js';
import { fitPredictor } from './fit-predictor.js';
import type { FitRequest } from './fit-request.js';

export interface FolderFitRequest extends Pick<
  FitRequest,
  'app' | 'predictor' | 'data' | 'options'
> {
  /** The model that a further fit goes on with: a dispose meanwhile takes it away. */
  readonly previous: () => PredictorState | undefined;
  /** The folder holds this very predictor. */
  readonly isSaved: boolean;
  /** Gives what the run of that id emits its events with. */
  readonly emitter: (runId: string) => FitRequest['emit'];
}

/**
 * Fits with the predictor's folder, or without one where it has no path; saving is the caller's.
 * @throws PEFT_FOLDER_NOT_EMPTY and what `fitPredictor` throws
 */
export async function fitWithFolder({
  previous,
  isSaved,
  emitter,
  ...request
}: FolderFitRequest): Promise<PredictorState> {
  const { app, options } = request;
  const { path } = request.predictor;
  const startedAtMs = app.get(CLOCK).now();
  if (path !== undefined)
    await checkOutputFolder(path, {
      resume: options.resume ?? options.resumeFrom !== undefined,
      owner: isSaved,
    });
  const runId = randomUUID();
  const store = app.get(CHECKPOINT_STORES)(
    path === undefined ? undefined : join(path, CHECKPOINT_FOLDER),
  );
  const runFolder = path === undefined ? undefined : createRunFolder(path);
  const subscription = runFolder && app.get(EVENT_BUS).listen(ofRun(runId, runFolder));
  await previous()?.engine.activate();
  return fitPredictor({
    ...request,
    previous: previous(),
    store,
    runId,
    startedAtMs,
    emit: warnedOnce(emitter(runId)),
    describe: runFolder?.describe,
  }).finally(async () => {
    subscription?.unsubscribe();
    // a failure was reported as the listener's
    await runFolder?.written().catch(() => undefined);
  });
}

/** A bus may carry the events of several runs. */
const ofRun =
  (runId: string, { listen }: RunFolder) =>
  (event: TrainEvent): Promise<void> | undefined =>
    event.runId === runId ? listen(event) : undefined;

/** Says each warning once, though training and validation rows both bring it. */
function warnedOnce(emit: FitRequest['emit']): FitRequest['emit'] {
  const said = new Set<string>();
  return (event) => {
    if (event.type === 'run/warned') {
      const text = `${event.code} ${event.message}`;
      if (said.has(text)) return;
      said.add(text);
    }
    emit(event);
  };
}
