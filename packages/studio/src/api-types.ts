/** What the studio's server and its page say to each other, as JSON. */
import type { ListedRun } from '@peft/trainer';

/** One run of the folder, for the list. */
export interface RunLine extends Omit<ListedRun, 'path' | 'state'> {
  /**
   * `starting`: its process reads tables and model; `not-started`: it ended before it trained,
   * `problem` says why.
   */
  readonly state: ListedRun['state'] | 'starting' | 'not-started';
  /** Its folder's path below the studio's, with `/`; `.` is the studio's folder itself. */
  readonly id: string;
}

/** The studio itself. */
export interface StudioState {
  /** Absolute. */
  readonly folder: string;
  readonly version: string;
}

/** A step as it is plotted; arrays of the same length, one entry a point. */
export interface StepColumns {
  readonly step: readonly number[];
  /** Null where the run wrote no finite number. */
  readonly loss: readonly (number | null)[];
  readonly learningRate: readonly (number | null)[];
  readonly gradientNorm: readonly (number | null)[];
  readonly tokensPerSecond: readonly (number | null)[];
}

/** A validation check. */
export interface CheckPoint {
  readonly step: number;
  readonly metrics: Readonly<Record<string, number | null>>;
  readonly isBest: boolean;
}

/** What a run said, thinned for plots. */
export interface RunSeries {
  /** Changes when what was sent before counts no more: another run began in the folder. */
  readonly edition: string;
  /** Steps that the run has recorded. */
  readonly recordedSteps: number;
  /** Of the steps after the number that was asked for. */
  readonly steps: StepColumns;
  readonly checks: readonly CheckPoint[];
  readonly startedAtMs?: number;
  readonly plannedSteps?: number;
  readonly plannedEpochs?: number;
  /** Steps that the run was resumed at. */
  readonly resumedAtSteps: readonly number[];
  /** Of the last steps, checks among them; what is left is counted with it. */
  readonly secondsPerStep?: number;
  readonly memory?: {
    readonly plannedPeakBytes: number;
    readonly usableBytes: number;
    readonly changes: readonly string[];
  };
  readonly peakMemoryBytes?: number;
  /** What it does before the first step: a file that is fetched, or the weights. */
  readonly loading?: { readonly what: string; readonly share: number };
  readonly warnings: readonly Warning[];
}

export interface Warning {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

/** All that is known of one run but its curves. */
export interface RunDetails extends RunLine {
  readonly modelType?: string;
  readonly base?: string;
  readonly trainableParameters?: number;
  readonly totalParameters?: number;
  readonly best?: { readonly step: number; readonly metrics: Readonly<Record<string, number>> };
  readonly error?: { readonly code: string; readonly message: string };
  /** By name, as they are shown and compared. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly environment?: Readonly<Record<string, unknown>>;
  /** What would start it again. */
  readonly request?: Readonly<Record<string, unknown>>;
  /** The command that goes on with it, where it can. */
  readonly resumeCommand?: string;
  readonly trainingTable?: string;
  /** Of the process, now and at its most, while it runs on this machine. */
  readonly residentBytes?: number;
  readonly peakResidentBytes?: number;
  /** The last lines that its process printed. */
  readonly output?: string;
}

/** An error as JSON. */
export interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string };
}
