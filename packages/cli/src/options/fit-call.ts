/** The options of `peft fit` as a call of the predictor. */
import { PeftError } from '@peft/errors';
import { loadableBy } from '@peft/export';
import {
  readsLabels,
  uncheckedHyperparameters,
  uncheckedMetric,
  type FitOptions,
  type PredictorOptions,
  type PresetName,
} from '@peft/predictor';
import type { FitInput } from './fit-options.js';
import { methodNamed, methodSettings } from './method-options.js';
import { pluginModules, type Plugins } from './plugins.js';
import { unescapedDelimiter } from './table-flags.js';

/** What no fit can do without. */
interface Required {
  readonly train: string;
  readonly output: string;
}

/** @throws PEFT_OPTION_MISSING for what no fit can do without, PEFT_CONFIG_INVALID for two labels */
export function requiredOf({
  train,
  output,
  task,
  label,
  labels,
  method,
  methodOptions = {},
}: FitInput): Required {
  if (train === undefined) return missing('a training table', 'fit TABLE, or train: in a run file');
  if (label === undefined && labels === undefined && readsLabels(task))
    return missing('--label', 'the column to predict (or --task, for models that generate)');
  if (label !== undefined && labels !== undefined)
    throw new PeftError('PEFT_CONFIG_INVALID', 'fit: --label and --labels are both given.', {
      hint: 'give one column of labels, or the columns of 0 and 1',
    });
  if (output === undefined) return missing('--output', 'the folder that the model goes into');
  if (method === undefined && Object.keys(methodOptions).length > 0)
    return missing('--method', 'the method whose options these are');
  return { train, output };
}

function missing(what: string, meaning: string): never {
  throw new PeftError('PEFT_OPTION_MISSING', `fit: ${what} is needed: ${meaning}.`, {
    hint: 'peft fit --help shows examples',
  });
}

/** What a new predictor is made with. */
export const predictorOptionsOf = (input: FitInput, plugins: Plugins): PredictorOptions => ({
  path: input.output,
  task: input.task,
  label: input.labels ?? input.label,
  sampleWeight: input.sampleWeight,
  taskIdColumn: input.taskIdColumn,
  columnRoles: columnRolesOf(input),
  modules: pluginModules(plugins),
  problemType: input.problemType,
  evalMetric: input.metric === undefined ? undefined : uncheckedMetric(input.metric),
});

/** How tables are read. */
export const readingOf = (
  input: FitInput,
): Pick<FitOptions, 'columns' | 'header' | 'delimiter' | 'quotes'> => ({
  columns: input.columns,
  header: input.header,
  delimiter: input.delimiter && unescapedDelimiter(input.delimiter),
  quotes: input.quotes,
});

/**
 * What a first fit and one that goes on with a finished run have in common.
 * @param tell told what to mind about the target of `--for`
 */
export const fitOptionsOf = (input: FitInput, tell?: (sentence: string) => void): FitOptions => ({
  ...readingOf(input),
  // the predictor refuses a name that it does not know
  presets: input.presets as PresetName | undefined,
  adapter: input.adapter,
  baseAdapter: input.baseAdapter,
  tuningData: input.tune,
  textColumns: input.text,
  sample: input.sample,
  seed: input.seed,
  timeLimitSeconds: input.timeLimitSeconds,
  standalone: input.standalone,
  beforeTraining: input.for === undefined ? undefined : loadableBy(input.for, tell),
});

/** A first fit, with its method. */
export const firstFitOptionsOf = (
  input: FitInput,
  plugins: Plugins,
  tell?: (sentence: string) => void,
): FitOptions => ({
  ...fitOptionsOf(input, tell),
  method: methodOf(input, plugins),
  hyperparameters: uncheckedHyperparameters({
    ...methodSettings(input.method, input.methodOptions ?? {}),
    ...input.hyperparameters,
  }),
});

export const methodOf = (input: FitInput, plugins: Plugins): FitOptions['method'] =>
  input.method === undefined
    ? undefined
    : methodNamed(input.method, input.methodOptions ?? {}, plugins, input.task);

/** `prompt=question` as `{ prompt: 'question' }`; undefined where no role was given. */
export function columnRolesOf({
  map = {},
}: Pick<FitInput, 'map'>): Record<string, string> | undefined {
  const roles = Object.entries(map).map(([role, column]) => [role, String(column)] as const);
  return roles.length === 0 ? undefined : Object.fromEntries(roles);
}
