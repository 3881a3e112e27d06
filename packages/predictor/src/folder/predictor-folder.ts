/**
 * The folder of a predictor.
 *
 *   predictor.json   task, columns, classes, settings, scores; written last, so that a folder with it is whole
 *   adapter/         the trained parameters in PEFT's layout
 *   base-adapter/    the adapter that it stands on, where there is one
 *   model/           config and tokenizer of the base model, and its weights in a standalone folder
 *   checkpoints/     only while a fit runs, or after it was interrupted
 *   run.json         what the last run was asked for, and how far it came (docs/run-folder.md)
 *   events.jsonl     every event of its runs, a line each
 *   logs/            of whoever logs there; left alone
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { readdir, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { saveAdapter } from '@peft/core';
import { PeftError } from '@peft/errors';
import {
  ADAPTER_WEIGHT_FILES,
  refuseFull,
  removeAbandoned,
  writeFileAtomic,
  writeFolderAtomic,
} from '@peft/hub';
import { copyModelFiles } from '../model/base-model.js';
import { EVENTS_FILE, RUN_FILE } from '@peft/trainer';
import { formatRecord, type PredictorRecord } from './predictor-record.js';
import { ADAPTER, BENEATH, type PredictorState } from '../model/predictor-state.js';
import { runSizes } from '../fit/run-plan.js';

export const RECORD_FILE = 'predictor.json';
export const ADAPTER_FOLDER = 'adapter';
export const BASE_ADAPTER_FOLDER = 'base-adapter';
export const MODEL_FOLDER = 'model';
export const CHECKPOINT_FOLDER = 'checkpoints';
const LOG_FOLDER = 'logs';
/** A whole predictor that is about to be moved into its place. */
const STAGED_FOLDER = '.staged';

/**
 * That a fit may write into the folder.
 * @param owner this predictor was saved there already: its files may be replaced.
 * @throws PEFT_FOLDER_NOT_EMPTY for a folder that holds other things, PEFT_RUN_COMPLETE when a
 *   finished predictor is to be resumed
 */
export async function checkOutputFolder(
  path: string,
  { resume, owner }: { readonly resume: boolean; readonly owner: boolean },
): Promise<void> {
  await removeAbandoned(dirname(resolve(path)), { name: basename(resolve(path)) });
  if (!resume && !owner) return (await isTracesOnly(path)) ? undefined : refuseFull(path);
  await removeLeftovers(path);
  const own = [
    RECORD_FILE,
    ADAPTER_FOLDER,
    BASE_ADAPTER_FOLDER,
    MODEL_FOLDER,
    CHECKPOINT_FOLDER,
    LOG_FOLDER,
    STAGED_FOLDER,
    RUN_FILE,
    EVENTS_FILE,
  ];
  const entries = await readdir(path).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const foreign = entries.filter((name) => !own.includes(name) && !/^\..*\.tmp$/.test(name));
  if (foreign.length)
    throw new PeftError(
      'PEFT_FOLDER_NOT_EMPTY',
      `predictor: ${resolve(path)} holds what no predictor wrote: ` +
        `${foreign.slice(0, 3).join(', ')}${foreign.length > 3 ? ', …' : ''}.`,
      { hint: 'choose another folder, or move these files away' },
    );
  if (resume && !owner && entries.includes(RECORD_FILE)) {
    throw new PeftError(
      'PEFT_RUN_COMPLETE',
      `predictor: the run in ${resolve(path)} is complete, there is nothing to resume.`,
      {
        hint: 'train it further with (await PeftPredictor.load(path)).fit(…), or choose another folder for a new run',
      },
    );
  }
}

/** Whether a run that came to no checkpoint was all that happened there: a new one may start. */
async function isTracesOnly(path: string): Promise<boolean> {
  const entries = await readdir(path).catch((): string[] => []);
  return entries.length > 0 && entries.every((name) => [RUN_FILE, EVENTS_FILE].includes(name));
}

/**
 * What a process that was killed while it placed its model has left: half a copy of it, or, with
 * everything in its place, the empty folder that it was moved from and the checkpoints.
 */
async function removeLeftovers(path: string): Promise<void> {
  await removeAbandoned(path, { reused: [process.pid] });
  const staged = join(path, STAGED_FOLDER);
  const isPlaced =
    existsSync(join(path, RECORD_FILE)) &&
    existsSync(staged) &&
    !existsSync(join(staged, RECORD_FILE));
  if (!isPlaced) return;
  await rm(join(path, CHECKPOINT_FOLDER), { recursive: true, force: true });
  await rm(staged, { recursive: true, force: true });
}

/**
 * Writes a predictor into a folder that is missing or empty: whole or not at all.
 * @throws PEFT_FOLDER_NOT_EMPTY, PEFT_PREDICTOR_WRITE
 */
export async function writePredictor(
  path: string,
  state: PredictorState,
  standalone: boolean,
): Promise<void> {
  await explained(path, 'nothing was left behind', () =>
    writeFolderAtomic(path, (temporary) => fill(temporary, state, standalone)),
  );
}

/**
 * Ends a fit in its folder. The new files are complete on the disk before the first old one goes,
 * and the checkpoints go last: a process that is killed in between can resume.
 * @throws PEFT_PREDICTOR_WRITE; the checkpoints are kept then
 */
export async function finishPredictor(
  path: string,
  state: PredictorState,
  standalone: boolean,
): Promise<void> {
  await explained(path, 'the checkpoints are kept, go on with fit(…, { resume: true })', () =>
    placePredictor(path, state, standalone),
  );
}

async function placePredictor(
  path: string,
  state: PredictorState,
  standalone: boolean,
): Promise<void> {
  const staged = join(path, STAGED_FOLDER);
  const isBaseHere = !relative(resolve(path), resolve(state.base.folder)).startsWith('..');
  await writeFolderAtomic(staged, (temporary) => fill(temporary, state, standalone || isBaseHere), {
    replace: true,
  });
  await rm(join(path, RECORD_FILE), { force: true });
  for (const name of [ADAPTER_FOLDER, BASE_ADAPTER_FOLDER, MODEL_FOLDER, RECORD_FILE]) {
    await rm(join(path, name), { recursive: true, force: true });
    if (existsSync(join(staged, name))) await rename(join(staged, name), join(path, name));
  }
  // in this order: an empty staged folder tells that the checkpoints are of this run
  await rm(join(path, CHECKPOINT_FOLDER), { recursive: true, force: true });
  await rmdir(staged);
}

async function explained(path: string, hint: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    if (cause instanceof PeftError) throw cause;
    throw new PeftError(
      'PEFT_PREDICTOR_WRITE',
      `predictor: ${resolve(path)} could not be written: ${(cause as Error).message}.`,
      { hint: `make room or correct the permissions; ${hint}`, cause },
    );
  }
}

async function fill(folder: string, state: PredictorState, standalone: boolean): Promise<void> {
  const { model, base, metric, task, settings, fileColumns, method, isNamedMethod, summary } =
    state;
  await saveAdapter(model, ADAPTER, join(folder, ADAPTER_FOLDER), {
    baseModel: base.reference,
    revision: base.revision,
    allowUntrained: true,
    results: cardResults(state),
  });
  const isStacked = model.adapterNames.includes(BENEATH);
  if (isStacked)
    await saveAdapter(model, BENEATH, join(folder, BASE_ADAPTER_FOLDER), {
      baseModel: base.reference,
      revision: base.revision,
      allowUntrained: true,
    });
  await copyModelFiles(base, join(folder, MODEL_FOLDER), {
    withWeights: standalone,
    fields: task.savedFiles?.(settings, model.description),
  });
  const record: PredictorRecord = {
    task: task.record,
    metric: metric.name,
    fileColumns,
    settings,
    method,
    isNamedMethod,
    summary,
    base: {
      reference: base.reference,
      revision: base.revision,
      fingerprint: base.fingerprint,
      vocabularySize: base.vocabulary.size,
      isIncluded: standalone,
    },
    adapterHash: await adapterHash(folder),
    baseAdapterHash: isStacked ? await adapterHash(folder, BASE_ADAPTER_FOLDER) : undefined,
  };
  await writeFileAtomic(join(folder, RECORD_FILE), formatRecord(record));
}

/** What the model card tells of the run. */
function cardResults({
  metric,
  summary,
  settings,
}: PredictorState): Record<string, string | number> {
  return {
    'training rows': summary.trainingRows,
    'validation rows': summary.validationRows,
    [`${metric.name} (validation)`]: summary.validationScore,
    ...(summary.trainingLoss !== undefined && {
      'training loss (last epoch)': summary.trainingLoss,
    }),
    'optimiser steps': summary.steps,
    'learning rate': settings['optim.lr'],
    'batch size': runSizes(settings).batchSize,
    seed: settings['env.seed'],
    ...(summary.engine !== undefined && { engine: summary.engine }),
    'training time': `${summary.trainingSeconds.toFixed(1)} s`,
    'peak memory': `${Math.round(summary.peakMemoryBytes / 1e6)} MB`,
  };
}

/** sha256 of the adapter's weights in a predictor's folder. @throws PEFT_ADAPTER_MISSING */
export async function adapterHash(
  folder: string,
  place: typeof ADAPTER_FOLDER | typeof BASE_ADAPTER_FOLDER = ADAPTER_FOLDER,
): Promise<string> {
  const path = ADAPTER_WEIGHT_FILES.map((name) => join(folder, place, name)).find((candidate) =>
    existsSync(candidate),
  );
  if (!path)
    throw new PeftError(
      'PEFT_ADAPTER_MISSING',
      `predictor: ${resolve(folder, place)} has no weights.`,
      { hint: 'the folder is not whole: copy it again, or train again' },
    );
  const hash = createHash('sha256');
  for await (const bytes of createReadStream(path)) hash.update(bytes as Buffer);
  return hash.digest('hex');
}
