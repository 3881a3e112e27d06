/** What a studio is made with. */
import type { JsonObject } from '@peft/hub';
import type { FitOptions, PredictorOptions } from '@peft/predictor';
import type { ExportableFormat } from './api-types.js';

/**
 * How the application that starts runs reads its requests: the keys of a run file. A module exports
 * it as `requests`.
 */
export interface RunRequests {
  /** JSON Schema of the settings, by dotted key, with descriptions. */
  settings(): JsonObject;
  /**
   * The same fit as a call.
   * @throws PEFT_CONFIG_UNKNOWN_KEY, PEFT_CONFIG_INVALID, PEFT_OPTION_MISSING
   */
  call(request: JsonObject): {
    readonly train: string;
    readonly predictor: PredictorOptions;
    readonly fit: FitOptions;
  };
  /** The same with every setting under `hyperparameters`, by its dotted key. */
  plain(request: JsonObject): JsonObject;
  /** The same as a run file, in YAML. */
  runFile(request: JsonObject): string;
  /** The same as a command line. */
  commandLine(request: JsonObject, how?: { readonly resume?: boolean }): string;
}

/** What a studio shows, and how it starts runs. */
export interface StudioOptions {
  /** The folder whose runs are shown, and that new ones go into. */
  readonly folder: string;
  /** What starts a run, before `-c FILE`: `[node, peft.mjs, 'fit']`. */
  readonly fitCommand: readonly string[];
  /** What exports models. Default: the page exports none. */
  readonly exports?: {
    /** What starts an export, before the run's folder: `[node, peft.mjs, 'export']`. */
    readonly command: readonly string[];
    readonly formats: readonly ExportableFormat[];
  };
  /** The module that exports {@link RunRequests}, without its ending; threads import it, too. */
  readonly requests: URL;
  /** Whether that module is TypeScript. */
  readonly isSource?: boolean;
  /** Told of what fails behind a request. Default: nobody. */
  readonly log?: (line: string) => void;
}
