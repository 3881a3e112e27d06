/** What the studio's server and its page say to each other, as JSON. */
import type { SpeedEstimate } from '@peft/predictor';
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
  /** What else a step tells, by name: rewards, margins, KL … Null where a step did not. */
  readonly metrics: Readonly<Record<string, readonly (number | null)[]>>;
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

/** A table that was dropped or named. */
export interface TablePreview {
  /** Absolute. */
  readonly path: string;
  readonly name: string;
  readonly rows: number;
  readonly columns: readonly {
    readonly name: string;
    /** What its cells are like. */
    readonly type: 'text' | 'categorical' | 'numerical' | 'null' | 'lists';
    readonly distinct: number;
  }[];
  /** The first rows, cells as texts. */
  readonly head: readonly (readonly string[])[];
  readonly guess: TableGuess;
  readonly warnings: readonly Warning[];
}

/** What a table looks like it is for, as options of a fit. */
export interface TableGuess {
  readonly task?: string;
  readonly label?: string;
}

/** A piece of a text as the model reads it. */
export interface TextPiece {
  readonly text: string;
  /** The model learns to write it. */
  readonly isLearnt: boolean;
}

/** Bars of a histogram. */
export interface Histogram {
  readonly bars: readonly { readonly from: number; readonly to: number; readonly count: number }[];
  readonly least: number;
  readonly most: number;
  readonly mean: number;
}

/** What a fit would do. */
export interface StartPreview {
  readonly task: string;
  readonly metric: string;
  readonly textColumns: readonly string[];
  readonly trainingRows: number;
  readonly validationRows: number;
  /** Of the training rows, the most frequent first. */
  readonly labels?: readonly { readonly label: string; readonly rows: number }[];
  readonly numbers?: Histogram;
  readonly tokens: Histogram;
  /** Rows of language models as the model reads them. */
  readonly examples: readonly (readonly TextPiece[])[];
  readonly engine: string;
  readonly steps: number;
  readonly epochs: number;
  /** Of each setting the value that counts, defaults among them. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly memory?: {
    readonly peakBytes: number;
    readonly usableBytes: number;
    readonly parts: readonly { readonly name: string; readonly bytes: number }[];
    readonly trainableParameters: number;
    readonly parameters: number;
  };
  /** What the model's matrices need, and what the engine does of it, measured. */
  readonly speed?: SpeedEstimate;
  readonly time?: {
    readonly seconds: number;
    readonly basis: string;
    /** Of no run: it may take more, and not less. */
    readonly isLeast?: boolean;
  };
  readonly warnings: readonly Warning[];
}

/** What a request means, and what it would do where that is known. */
export interface PreviewAnswer {
  readonly runFile?: string;
  readonly commandLine?: string;
  readonly preview?: StartPreview;
  readonly problem?: ErrorBody['error'];
}

/** What the form is made of. */
export interface FormParts {
  /** JSON Schema of the settings by dotted key. */
  readonly settings: Readonly<Record<string, SettingSchema>>;
  readonly methods: readonly {
    readonly name: string;
    readonly formula?: string;
    readonly options: readonly { readonly name: string; readonly default: unknown }[];
  }[];
  readonly tasks: readonly string[];
  readonly metrics: readonly string[];
  /** Models that runs of this folder began from. */
  readonly models: readonly string[];
  /** Tables that were dropped here before. */
  readonly tables: readonly string[];
}

/** One setting, as far as the form needs to know. */
export interface SettingSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly anyOf?: readonly SettingSchema[];
  readonly const?: unknown;
}

/** How a saved model does on a table. */
export interface ScoreReport {
  /** Of the table, or `held-out rows`. */
  readonly name: string;
  readonly rows: number;
  readonly scores: Readonly<Record<string, number>>;
  /** Of one class a row. */
  readonly classes?: ClassReport;
  /** Of numbers. */
  readonly numbers?: NumberReport;
  /** By the values of a column that names languages. */
  readonly byLanguage?: readonly {
    readonly language: string;
    readonly rows: number;
    readonly score: number;
  }[];
}

export interface ClassReport {
  readonly labels: readonly string[];
  /** `[actual][predicted]` rows. */
  readonly confusion: readonly (readonly number[])[];
  readonly perClass: readonly ClassLine[];
  /** Wrong rows, the surest first. */
  readonly mistakes: readonly {
    readonly text: string;
    readonly actual: string;
    readonly predicted: string;
    readonly probability: number;
  }[];
  /** Of two classes that both have rows. */
  readonly curves?: BinaryCurves;
}

export interface ClassLine {
  readonly label: string;
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  readonly rows: number;
}

export interface BinaryCurves {
  readonly positive: string;
  /** Rates from (0, 0) to (1, 1). */
  readonly roc: readonly { readonly falsePositives: number; readonly truePositives: number }[];
  readonly area: number;
  /** Rows of like probability: the mean of it beside the share that is positive. */
  readonly calibration: readonly {
    readonly probability: number;
    readonly share: number;
    readonly rows: number;
  }[];
}

export interface NumberReport {
  /** Some of the rows. */
  readonly points: readonly { readonly actual: number; readonly predicted: number }[];
  /** The farthest off first. */
  readonly mistakes: readonly {
    readonly text: string;
    readonly actual: number;
    readonly predicted: number;
  }[];
}

/** A model that is open to be tried. */
export type OpenModel =
  | {
      readonly kind: 'predictor';
      readonly task: string;
      /** What a row has to have. */
      readonly inputs: readonly string[];
    }
  | {
      readonly kind: 'language';
      /** What can be asked: `base`, and runs by their ids. */
      readonly voices: readonly string[];
      readonly hasChatTemplate: boolean;
    };

/** What a model makes of a row. */
export interface TriedRow {
  readonly probabilities?: readonly { readonly label: string; readonly probability: number }[];
  readonly answer?: string;
}

/** A format that models can leave in. */
export interface ExportableFormat {
  readonly name: string;
  /** One line for people. */
  readonly summary: string;
  /** How weights can be stored, the default first. */
  readonly types: readonly string[];
  /** Of a format of one file: its ending. */
  readonly fileExtension?: string;
}

/** How an export stands. */
export type ExportState =
  | { readonly state: 'running'; /** 0 to 1. */ readonly share: number }
  | { readonly state: 'failed'; readonly message: string }
  | {
      readonly state: 'finished';
      /** Where it is, absolute. */
      readonly output: string;
      readonly type: string | undefined;
      readonly bytes: number;
      readonly warnings: readonly string[];
      /** Commands that use it. */
      readonly next: readonly string[];
    };

/** The last export to a format. */
export type FormatExport = ExportState & { readonly format: string };

/** What a run's model can be exported to, and was. */
export interface RunExports {
  /** None where the studio has no command for it. */
  readonly formats: readonly ExportableFormat[];
  readonly exports: readonly FormatExport[];
}
