/** `peft fit`: fine-tunes a model on a file of examples and saves it. */
import type { Command } from 'commander';
import type { TrainEvent } from '@peft/core';
import { PeftError } from '@peft/errors';
import {
  PeftPredictor,
  readsLabels,
  type PresetName,
  type Scores,
  uncheckedHyperparameters,
} from '@peft/predictor';
import { createJsonlLog, createTensorBoardLog } from '@peft/trainer';
import { methodNamed, methodSettings } from '../options/method-options.js';
import {
  addFitOptions,
  fitInputOfFlags,
  mergeFitInputs,
  type FitInput,
} from '../options/fit-options.js';
import { allowedPlugins, loadPlugins, pluginModules, type Plugins } from '../options/plugins.js';
import { readRunFile } from '../options/run-file.js';
import { unescapedDelimiter } from '../options/table-flags.js';
import { withResumeHint } from './resume-hint.js';
import { fitReport, type TestScores } from '../terminal/fit-report.js';
import { createProgress } from '../terminal/progress.js';
import type { Terminal } from '../terminal/terminal.js';
import { warningText } from '../terminal/warning-text.js';

const HELP = `
Examples:
  peft fit train.tsv --columns label,text --label label --model ./model --method ia3_bias --output out
  peft fit chats.jsonl --task causal-lm --model ./model --method lora --option rank=16 --output out
  peft fit pairs.jsonl --task seq2seq --map source=facts target=text --model google/flan-t5-small --output out
  peft fit -c run.yaml --epochs 3

Ctrl-C stops after the present step with a checkpoint; the same command with --resume resumes from it.`;

/** @param argv the words after `peft`, which a stopped run tells how to resume. */
export function addFit(program: Command, terminal: Terminal, argv: readonly string[]): void {
  const command = program
    .command('fit')
    .summary('fine-tune a model on a file of examples')
    .description(
      'Fine-tunes a model on a table (CSV, TSV, JSON Lines, Parquet) or text file and saves ' +
        'model, adapter and scores into a folder.',
    )
    .argument('[train]', 'the training examples')
    .option(
      '-c, --config <file>',
      'a run file (YAML): train, tune, label, model, method, hyperparameters …; flags win over it',
    );
  addFitOptions(command)
    .addHelpText('after', HELP)
    .action(
      async (train: string | undefined, { config }: { config?: string }, command: Command) => {
        const flags = fitInputOfFlags(train, command);
        const inFile = config === undefined ? {} : readRunFile(config);
        const input = mergeFitInputs(inFile, flags);
        const plugins = await loadPlugins(allowedPlugins(config, inFile, flags));
        try {
          terminal.out(await fit(input, plugins, terminal));
        } catch (error) {
          const isResumed = input.resume === true || input.resumeFrom !== undefined;
          throw withResumeHint(error, { argv, output: input.output, isResumed });
        }
      },
    );
}

async function fit(input: FitInput, plugins: Plugins, terminal: Terminal): Promise<string> {
  const { train, output } = requiredOf(input);
  const spec =
    input.method === undefined
      ? undefined
      : methodNamed(input.method, input.methodOptions ?? {}, plugins, input.task);
  const predictor = new PeftPredictor({
    path: output,
    task: input.task,
    label: input.labels ?? input.label,
    columnRoles: columnRolesOf(input),
    modules: pluginModules(plugins),
    problemType: input.problemType,
    evalMetric: input.metric,
    onListenerError: (error) =>
      terminal.err(`warning: a listener failed: ${(error as Error).message}`),
  });
  const reading = {
    columns: input.columns,
    header: input.header,
    delimiter: input.delimiter && unescapedDelimiter(input.delimiter),
    quotes: input.quotes,
  };
  const progress = createProgress(terminal);
  const isQuiet = input.quiet === true || input.json === true;
  const sinks = [isQuiet ? warningsOnly(terminal) : progress.listen, ...logsOf(input)];
  for (const sink of sinks) predictor.listen(sink);
  try {
    await predictor.fit(train, {
      ...reading,
      hyperparameters: uncheckedHyperparameters({
        ...methodSettings(input.method, input.methodOptions ?? {}),
        ...input.hyperparameters,
      }),
      // the predictor refuses a name that it does not know
      presets: input.presets as PresetName | undefined,
      method: spec,
      tuningData: input.tune,
      textColumns: input.text,
      sample: input.sample,
      seed: input.seed,
      timeLimitSeconds: input.timeLimitSeconds,
      standalone: input.standalone,
      resume: input.resume,
      resumeFrom: stepOrFolder(input.resumeFrom),
      signal: terminal.signal,
    });
    progress.stop();
    const tests: TestScores[] = [];
    for (const table of input.test ?? [])
      tests.push({ table, scores: await scoresOf(predictor, table, reading, terminal) });
    const summary = predictor.fitSummary();
    if (!input.json)
      return fitReport(summary, tests, {
        output,
        task: predictor.task,
        isChat: predictor.columnRoles?.['messages'] !== undefined,
      });
    const { modelSizeMegabytes } = predictor;
    return JSON.stringify({ ...summary, modelSizeMegabytes, output, tests });
  } finally {
    progress.stop();
    predictor.dispose();
  }
}

/** `40` is a step, `checkpoint-40` and paths are folders. */
const stepOrFolder = (text: string | undefined): number | string | undefined =>
  text !== undefined && /^\d+$/.test(text) ? Number(text) : text;

/** @throws PEFT_OPTION_MISSING for what no fit can do without */
function requiredOf({ train, output, task, label, labels, method, methodOptions = {} }: FitInput): {
  readonly train: string;
  readonly output: string;
} {
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

/** `prompt=question` as `{ prompt: 'question' }`; undefined where no role was given. */
function columnRolesOf({ map = {} }: FitInput): Record<string, string> | undefined {
  const roles = Object.entries(map).map(([role, column]) => [role, String(column)] as const);
  return roles.length === 0 ? undefined : Object.fromEntries(roles);
}

const logsOf = ({ log, tensorboard }: FitInput): ((event: TrainEvent) => void)[] => [
  ...(log === undefined ? [] : [createJsonlLog(log)]),
  ...(tensorboard === undefined ? [] : [createTensorBoardLog(tensorboard)]),
];

/** Warnings are shown even when progress is not. */
const warningsOnly =
  (terminal: Terminal) =>
  (event: TrainEvent): void => {
    if (event.type === 'run/warned') terminal.err(warningText(event));
  };

const scoresOf = (
  predictor: PeftPredictor,
  table: string,
  reading: Pick<FitInput, 'columns' | 'header' | 'delimiter' | 'quotes'>,
  { signal }: Terminal,
): Promise<Scores> => predictor.evaluate(table, { ...reading, signal });
