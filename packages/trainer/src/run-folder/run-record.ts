/** `run.json`: what a run was asked for, where it ran, and how far it came. */
import type { RunEnded } from '@peft/core';
import { PeftError, show } from '@peft/errors';
import type { JsonObject } from '@peft/hub';

/** What `format` says in a `run.json`. */
export const RUN_FORMAT = 'peft-run';
/** The layout that this version writes; it reads no newer one. */
export const RUN_VERSION = 1;

/** What the caller knows about a run before it starts. JSON-safe. */
export interface RunFacts {
  /** What it was asked for, by name. */
  readonly settings?: JsonObject;
  /** Of each table its rows and the sha256 of what is read of it. */
  readonly data?: JsonObject;
  /** The base model: reference, revision, fingerprint. */
  readonly base?: JsonObject;
  /** What would start the run again: of `peft fit` the keys of a run file, paths absolute. */
  readonly request?: JsonObject;
}

/** The machine and the program that a run had. */
export interface RunEnvironment {
  /** For instance `v20.19.0`. */
  readonly node: string;
  readonly platform: string;
  readonly arch: string;
  readonly processors: number;
  readonly memoryBytes: number;
}

/** The contents of `run.json`. */
export interface RunRecord extends RunFacts {
  readonly format: typeof RUN_FORMAT;
  readonly version: typeof RUN_VERSION;
  readonly runId: string;
  /** `running` also stands in the folder of a process that was killed. */
  readonly state: 'running' | RunEnded['reason'];
  /** Of the process that writes it. */
  readonly processId: number;
  readonly startedAtMs: number;
  readonly endedAtMs?: number;
  readonly modelType: string;
  readonly method: string;
  readonly engine: string;
  readonly trainableParameters: number;
  readonly totalParameters: number;
  readonly plannedSteps: number;
  readonly resumedAtStep?: number;
  /** Of the last event that told it. */
  readonly step: number;
  /** The best check so far. */
  readonly best?: { readonly step: number; readonly metrics: Readonly<Record<string, number>> };
  readonly error?: RunEnded['error'];
  readonly environment: RunEnvironment;
  /** Of packages, by name. */
  readonly versions: Readonly<Record<string, string>>;
}

/**
 * Checks what was read from a file.
 * @throws PEFT_RUN_FOLDER_INVALID naming the field, PEFT_RUN_FOLDER_VERSION for a newer layout
 */
export function parseRunRecord(json: JsonObject, where: string): RunRecord {
  const fail = (field: string, wanted: string): never => {
    throw new PeftError(
      'PEFT_RUN_FOLDER_INVALID',
      `trainer: ${where}: ${field} must be ${wanted}, got ${show(json[field])}.`,
      { hint: 'the file is damaged; the checkpoints and the model beside it do not need it' },
    );
  };
  if (json['format'] !== RUN_FORMAT) fail('format', JSON.stringify(RUN_FORMAT));
  if (json['version'] !== RUN_VERSION)
    throw new PeftError(
      'PEFT_RUN_FOLDER_VERSION',
      `trainer: ${where} has version ${show(json['version'])}, this toolkit reads ${RUN_VERSION}.`,
      { hint: 'read it with the version that wrote it, or a newer one' },
    );
  for (const field of ['runId', 'state', 'modelType', 'method', 'engine'])
    if (typeof json[field] !== 'string') fail(field, 'a text');
  for (const field of ['startedAtMs', 'processId', 'step', 'plannedSteps'])
    if (!Number.isFinite(json[field])) fail(field, 'a number');
  // every field that is read from it was checked
  return json as unknown as RunRecord;
}
