/** The options that are known: any other is an error that names the nearest. */
import type {
  EvaluateOptions,
  FitOptions,
  LoadOptions,
  PredictorOptions,
} from './predictor-types.js';

/** Of `fit`. */
export const FIT_KEYS: readonly (keyof FitOptions)[] = [
  'presets',
  'hyperparameters',
  'tuningData',
  'holdoutFraction',
  'columns',
  'header',
  'delimiter',
  'quotes',
  'textColumns',
  'columnTypes',
  'sample',
  'timeLimitSeconds',
  'seed',
  'resume',
  'resumeFrom',
  'restateSchedule',
  'standalone',
  'signal',
  'method',
  'adapter',
  'baseAdapter',
  'beforeTraining',
  'rewards',
  'request',
];

/** How files of new rows are read. */
export const READING_KEYS = ['columns', 'header', 'delimiter', 'quotes'] as const;

/** Of `evaluate`. */
export const EVALUATE_KEYS: readonly (keyof EvaluateOptions)[] = [
  'metrics',
  'writing',
  'rewards',
  'returnPredictions',
  ...READING_KEYS,
  'signal',
];

/** Of a predictor. */
export const PREDICTOR_KEYS: readonly (keyof PredictorOptions)[] = [
  'task',
  'label',
  'sampleWeight',
  'taskIdColumn',
  'columnRoles',
  'path',
  'problemType',
  'evalMetric',
  'presets',
  'hyperparameters',
  'modules',
  'onListenerError',
];

/** Of `PeftPredictor.load`. */
export const LOAD_KEYS: readonly (keyof LoadOptions)[] = [
  'engine',
  'precision',
  'threads',
  'baseModel',
  'signal',
  'onEvent',
  'modules',
  'onListenerError',
];
