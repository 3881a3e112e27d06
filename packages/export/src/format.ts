/** The seam between models and the formats that they leave in. */
import type { AnyMethod } from '@peft/core';
import type { TensorStore } from '@peft/hub';
import type { TrainedModel } from '@peft/predictor';

/** What is asked of a format. */
export interface FormatRequest {
  /** One of the format's `types`; default its first. */
  readonly type?: string;
  /** How the model is called in what is written. Default: the name of the output. */
  readonly name: string;
  /** Of formats in shards: a new one begins where the data would exceed it. */
  readonly maxShardBytes?: number;
  /** Of a format that writes the nearest adapter of some rank. */
  readonly rank?: number;
}

/** What a format is told while it writes. */
export interface WriteTools {
  /** Call before each tensor; throws the signal's reason once it is aborted. */
  tensor(name: string, bytes: number): void;
  /** Call where what is written has only a part of the energy Σ x² of a change. */
  approximated(part: ApproximatedPart): void;
}

/** A place where what was written only comes near to what was trained. */
export interface ApproximatedPart {
  readonly path: string;
  /** Σ of the squares of the elements of what was trained. */
  readonly energy: number;
  /** Of which was written so much. */
  readonly keptEnergy: number;
}

/** An export whose refusals are behind it. */
export interface ExportJob {
  /** As given, or the default. */
  readonly type: string | undefined;
  /** Bytes of the tensors that will be written. */
  readonly totalBytes: number;
  /** Sentences that the user should know. */
  readonly warnings: readonly string[];
  /** Writes into an empty folder that nobody sees before it is complete. */
  write(folder: string, tools: WriteTools): Promise<void>;
  /** What was written, to compare its results. */
  reopen?(folder: string): WrittenModel | WrittenAdapter;
  /** Writes what tells of the export, once the results have been compared. */
  finish?(folder: string, report: ExportReport): Promise<void>;
  /** Commands that use the result, with the output's path. */
  next?(output: string): readonly string[];
}

/** A checkpoint in memory's terms: its config, and tensors that are read one by one. */
export interface WrittenModel {
  readonly config: Readonly<Record<string, unknown>>;
  readonly store: TensorStore;
}

/** An adapter that was written for the base of the source. */
export interface WrittenAdapter {
  readonly adapterFolder: string;
  /** What it may be of. */
  readonly methods: readonly AnyMethod[];
}

/** How far results with the written weights lie from those with the adapter beside the base. */
export interface ExportReport {
  readonly deviation: { readonly largest: number; readonly relative: number } | undefined;
  readonly warnings: readonly string[];
  /** Of what only comes near: the share of the energy that was kept, 0 to 1, and where. */
  readonly approximation:
    { readonly keptShare: number; readonly parts: readonly ApproximatedPart[] } | undefined;
}

/** A format as a value. */
export interface ExportFormat {
  /** What `to` and `--to` call it. */
  readonly name: string;
  /** One line for people. */
  readonly summary: string;
  /** Kinds of weights that it can be written in, the default first; none where there is one. */
  readonly types: readonly string[];
  /** Its data can be cut into shards of `maxShardBytes`. */
  readonly hasShards?: boolean;
  /** It writes the adapter alone, which needs its base. */
  readonly isAdapter?: boolean;
  /** It writes an adapter of the `rank` that is asked for. */
  readonly hasRank?: boolean;
  /** Ending of an output that is one file, for instance `.gguf`; a folder otherwise. */
  readonly fileExtension?: string;
  /**
   * Looks at everything that could be refused, before anything is written.
   * @throws PEFT_EXPORT_UNSUPPORTED, PEFT_MERGE_INEXACT …
   */
  prepare(source: TrainedModel, request: FormatRequest): ExportJob;
}

const MARK = Symbol.for('@peft/export format');

/**
 * Makes a format known: exported by a plug-in, or given to {@link withFormats}.
 * @returns the format, frozen
 */
export const defineFormat = (format: ExportFormat): ExportFormat =>
  Object.freeze({ ...format, [MARK]: true });

/** Whether {@link defineFormat} made a value. */
export const isExportFormat = (value: unknown): value is ExportFormat =>
  typeof value === 'object' && value !== null && MARK in value;
