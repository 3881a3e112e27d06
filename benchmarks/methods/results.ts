/** What `bench:methods` keeps. */
import { fileURLToPath } from 'node:url';

/** One training. */
export interface MethodRun {
  readonly learningRate: number;
  readonly seed: number;
  /** Accuracy on the dev rows, which choose the learning rate, and on the test rows. */
  readonly dev: number;
  readonly test: number;
  /** By the clock, of the training without loading. */
  readonly seconds: number;
  /** Processor time of `fit`: loading, training, choosing by the dev rows and saving. */
  readonly processorSeconds: number;
  /** The most that the process ever held; of the first run of a process alone. */
  readonly peakMemoryBytes?: number;
}

/** All trainings of a method. */
export interface MethodResult {
  readonly runs: readonly MethodRun[];
  /** The head included. */
  readonly trainableParameters?: number;
  /** Why there are none. */
  readonly refused?: string;
}

/** The whole file. */
export interface Results {
  readonly budget: typeof BUDGET;
  readonly machine: string;
  readonly methods: Record<string, MethodResult>;
}

/** The same for all. */
export const BUDGET = {
  model: "the quickstart's encoder",
  data: 'en_train, en_dev and en_test of the quickstart',
  /** Of the training rows, drawn by the seed. */
  rows: 352,
  epochs: 1,
  batch: 8,
  length: 64,
  threads: 1,
  /** Each is tried with the first seed; the best by the dev rows is run with the others. */
  learningRates: [5e-4, 5e-3, 5e-2],
  seeds: [0, 1, 2],
};

/** Where. */
export const RESULTS = fileURLToPath(new URL('../results/methods.json', import.meta.url));

/** The learning rate that did best on the dev rows with the first seed; the smallest of equals. */
export function bestLearningRate(runs: readonly MethodRun[]): number | undefined {
  const tried = runs.filter(({ seed }) => seed === BUDGET.seeds[0]);
  const ranked = [...tried].sort((a, b) => b.dev - a.dev || a.learningRate - b.learningRate);
  return ranked[0]?.learningRate;
}

/** The runs at the best learning rate. */
export const chosenRuns = ({ runs }: MethodResult): readonly MethodRun[] =>
  runs.filter(({ learningRate }) => learningRate === bestLearningRate(runs));
