/** What the files of a run's folder tell of it, without its curves. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonObject, type JsonObject } from '@peft/hub';
import { listRuns, parseRunRecord, RUN_FILE, type RunRecord } from '@peft/trainer';
import type { RunDetails } from '../api-types.js';
import type { RunRequests } from '../studio-options.js';
import { memoryOf } from './processes.js';
import type { RunIndex } from './run-index.js';
import { lastOutput } from './run-output.js';

/** Settings of a run are also compared with the facts that decide them. */
const COMPARED = ['modelType', 'method', 'engine', 'trainableParameters'] as const;

/** @throws PEFT_STUDIO_RUN */
export async function runDetails(
  index: RunIndex,
  id: string,
  requests: RunRequests,
): Promise<RunDetails> {
  const path = index.pathOf(id);
  const [line] = await listRuns(path, 0);
  const base = { id, state: 'unreadable', changedAtMs: 0, isWhole: false, ...line } as const;
  const { path: _, ...shown } = base as typeof base & { readonly path?: string };
  const record = recordIn(path);
  const output = lastOutput(index.folder, id);
  if (!record) return { ...shown, settings: savedSettings(path), output };
  const { request, error, best, environment, modelType, processId } = record;
  const isOver = shown.state !== 'running' && !shown.isWhole;
  const isMade = request !== undefined && isOver && shown.state !== 'unreadable';
  const memory = shown.state === 'running' ? await memoryOf(processId) : undefined;
  return {
    ...shown,
    modelType,
    best,
    error,
    request,
    output,
    base: textIn(record.base, 'reference'),
    trainableParameters: record.trainableParameters,
    totalParameters: record.totalParameters,
    settings: {
      ...Object.fromEntries(COMPARED.map((name) => [name, record[name]])),
      base: textIn(record.base, 'reference'),
      trainingRows: (record.data?.['training'] as JsonObject | undefined)?.['rows'],
      ...record.settings,
    },
    environment: { ...environment, ...record.versions },
    resumeCommand: isMade
      ? requests.commandLine({ ...request, output: path }, { resume: true })
      : undefined,
    trainingTable: textIn(request, 'train'),
    ...memory,
  };
}

/** undefined for a folder of a former version, and for a damaged record. */
export function recordIn(path: string): RunRecord | undefined {
  const file = join(path, RUN_FILE);
  if (!existsSync(file)) return undefined;
  try {
    return parseRunRecord(readJsonObject(file)!, file);
  } catch {
    return undefined; // the list says what is wrong with it
  }
}

/** Of folders from before there was a `run.json`. */
function savedSettings(path: string): JsonObject {
  const file = join(path, 'predictor.json');
  if (!existsSync(file)) return {};
  try {
    const { settings } = JSON.parse(readFileSync(file, 'utf8')) as { settings?: JsonObject };
    return settings ?? {};
  } catch {
    return {};
  }
}

function textIn(json: JsonObject | undefined, name: string): string | undefined {
  const value = json?.[name];
  return typeof value === 'string' ? value : undefined;
}
