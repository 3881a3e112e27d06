/**
 * What happens in a run, as JSON-safe events on an RxJS bus. Everything that shows or stores
 * progress is a listener.
 */
import { filter, Subject, type Observable, type OperatorFunction, type Subscription } from 'rxjs';

interface EventBase {
  readonly runId: string;
  /** Milliseconds since 1970. */ readonly atMs: number;
}

/** A run begins: what trains, on what, and how long it is planned to be. */
export interface RunStarted extends EventBase {
  readonly type: 'run/started';
  readonly modelType: string;
  readonly method: string;
  readonly engine: string;
  readonly trainableParameters: number;
  readonly totalParameters: number;
  readonly plannedSteps: number;
  readonly plannedEpochs: number;
  readonly resumedAtStep?: number;
}
/** What a run is planned to hold, before it loads the model. */
export interface MemoryPlanned extends EventBase {
  readonly type: 'memory/planned';
  /** What the process will hold at the most. */ readonly peakBytes: number;
  /** What it may have. */ readonly usableBytes: number;
  /** What was switched on to fit, for people. */ readonly changes: readonly string[];
  /** The same of the card, where a GPU computes. */ readonly gpu?: {
    readonly name: string;
    readonly peakBytes: number;
    readonly usableBytes: number;
  };
}
/** A further part of the base's weights is in memory. */
export interface WeightsLoaded extends EventBase {
  readonly type: 'weights/loaded';
  readonly loadedBytes: number;
  readonly totalBytes: number;
}
/** A further part of a file of the hub is on disk. */
export interface DownloadProgressed extends EventBase {
  readonly type: 'download/progressed';
  readonly file: string;
  readonly loadedBytes: number;
  readonly totalBytes: number;
}
/** An optimiser step was taken. */
export interface StepCompleted extends EventBase {
  readonly type: 'step/completed';
  readonly step: number;
  readonly epoch: number;
  /** Mean over the examples of the step. */ readonly loss: number;
  readonly learningRate: number;
  /** Total L2 norm before clipping. */ readonly gradientNorm: number;
  readonly tokens: number;
  readonly examples: number;
  readonly durationMs: number;
  /** What the task measured beside its loss, by name. */
  readonly metrics?: Readonly<Record<string, number>>;
}
/** The validation data was scored. */
export interface EvaluationCompleted extends EventBase {
  readonly type: 'evaluation/completed';
  readonly step: number;
  readonly epoch: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly examples: number;
  readonly durationMs: number;
  /** This score is the best so far. */ readonly isBest: boolean;
}
/** A checkpoint is on disk, whole. */
export interface CheckpointSaved extends EventBase {
  readonly type: 'checkpoint/saved';
  readonly step: number;
  readonly path: string;
  readonly score?: number;
}
/** Something that the user should know, and that did not stop the run. */
export interface RunWarned extends EventBase {
  readonly type: 'run/warned';
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}
/** The last event of a run, whatever ended it. */
export interface RunEnded extends EventBase {
  readonly type: 'run/ended';
  /** `diverged`: the loss became NaN or infinite. */
  readonly reason: 'completed' | 'stopped-early' | 'aborted' | 'diverged' | 'failed';
  readonly step: number;
  readonly durationMs: number;
  readonly peakMemoryBytes: number;
  readonly error?: { readonly code: string; readonly message: string };
}

/** All events of a run; a switch over `type` narrows them. */
export type TrainEvent =
  | RunStarted
  | MemoryPlanned
  | WeightsLoaded
  | DownloadProgressed
  | StepCompleted
  | EvaluationCompleted
  | CheckpointSaved
  | RunWarned
  | RunEnded;
/** The events of one type. */
export type TrainEventOf<T extends TrainEvent['type']> = Extract<TrainEvent, { type: T }>;

/** Passes on only events of these types, typed. */
export const ofType = <T extends TrainEvent['type']>(
  ...types: readonly T[]
): OperatorFunction<TrainEvent, TrainEventOf<T>> =>
  filter((event): event is TrainEventOf<T> => (types as readonly string[]).includes(event.type));

/** What listens to a run. */
export type TrainEventSink = (event: TrainEvent) => unknown;

/** Where the events of runs go, and where they are listened to. */
export interface TrainEventBus {
  readonly events$: Observable<TrainEvent>;
  emit(event: TrainEvent): void;
  /**
   * Subscribes a sink whose failure is reported, never thrown at the run nor at the process. One
   * that returns a promise is not waited for; a rejection counts as a failure.
   */
  listen(sink: TrainEventSink): Subscription;
  /** Completes `events$`. */
  dispose(): void;
}

/** @param onSinkError told of what a listener threw. */
export function createTrainEventBus(
  onSinkError: (error: unknown) => void = () => undefined,
): TrainEventBus {
  const subject = new Subject<TrainEvent>();
  const guard = (sink: TrainEventSink) => (event: TrainEvent) => {
    try {
      // also a thenable that is no Promise, and any other value that a sink returns
      Promise.resolve(sink(event)).catch(onSinkError);
    } catch (error) {
      onSinkError(error);
    }
  };
  return {
    events$: subject.asObservable(),
    emit: (event) => subject.next(event),
    listen: (sink) => subject.subscribe({ next: guard(sink), error: onSinkError }),
    dispose: () => subject.complete(),
  };
}
