/** `peft fit`: fine-tunes a model on a file of examples and saves it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { TrainEvent } from '@peft/core';
import { PeftError, show } from '@peft/errors';
import {
  PeftPredictor,
  readsLabels,
  type PresetName,
  type EngineName,
  type Scores,
  uncheckedHyperparameters,
  uncheckedMetric,
} from '@peft/predictor';
import { createJsonlLog, createTensorBoardLog } from '@peft/trainer';
import { methodNamed, methodSettings } from '../options/method-options.js';
import { addFitOptions, fitInputOfFlags, type FitInput } from '../options/fit-options.js';
import { mergeFitInputs } from '../options/merge-fit-inputs.js';
import { allowedPlugins, loadPlugins, pluginModules, type Plugins } from '../options/plugins.js';
import { requestOf } from '../run-file/request-of.js';
import { readRunFile } from '../run-file/read-run-file.js';
import { unescapedDelimiter } from '../options/table-flags.js';
import { withResumeHint } from '../terminal/resume-hint.js';
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
          throw withResumeHint(error, {
            argv,
            output: input.output,
            isResumed: isResumed(input),
          });
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
  const isFurther = trainsFurther(input, output);
  const predictor = isFurther
    ? await finishedRun({ ...input, method: spec?.name }, output, plugins, terminal)
    : new PeftPredictor({
        path: output,
        task: input.task,
        label: input.labels ?? input.label,
        sampleWeight: input.sampleWeight,
        columnRoles: columnRolesOf(input),
        modules: pluginModules(plugins),
        problemType: input.problemType,
        evalMetric: input.metric === undefined ? undefined : uncheckedMetric(input.metric),
        onListenerError: listenerFailed(terminal),
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
        ...(isFurther ? {} : methodSettings(input.method, input.methodOptions ?? {})),
        ...input.hyperparameters,
      }),
      // the predictor refuses a name that it does not know
      presets: input.presets as PresetName | undefined,
      method: isFurther ? undefined : spec,
      adapter: input.adapter,
      baseAdapter: input.baseAdapter,
      tuningData: input.tune,
      textColumns: input.text,
      sample: input.sample,
      seed: input.seed,
      timeLimitSeconds: input.timeLimitSeconds,
      standalone: input.standalone,
      request: requestOf(input),
      ...(isFurther
        ? {}
        : {
            resume: input.resume,
            resumeFrom: stepOrFolder(input.resumeFrom),
            // the same number of epochs leaves the schedule as it is
            restateSchedule: isResumed(input) && input.epochs !== undefined,
          }),
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

const isResumed = ({ resume, resumeFrom }: FitInput): boolean =>
  resume === true || resumeFrom !== undefined;

const listenerFailed =
  (terminal: Terminal) =>
  (error: unknown): void =>
    terminal.err(`warning: a listener failed: ${(error as Error).message}`);

/**
 * Whether a finished run is to be trained for more epochs.
 * @throws PEFT_RUN_COMPLETE when it is to be resumed and nobody says for how long
 */
function trainsFurther({ resume, epochs }: FitInput, output: string): boolean {
  if (resume !== true || !existsSync(join(output, 'predictor.json'))) return false;
  if (epochs !== undefined) return true;
  throw new PeftError(
    'PEFT_RUN_COMPLETE',
    `fit: the run in ${output} is complete, there is nothing to resume.`,
    { hint: 'train it for more epochs with --resume --epochs NUMBER, or name another --output' },
  );
}

/**
 * The model of a finished run, to be trained further in its folder.
 * @throws PEFT_FIT_CHANGED when the command line names another method, label, task, problem type or
 *   columns of other roles
 */
async function finishedRun(
  { hyperparameters = {}, ...input }: FinishedInput,
  output: string,
  plugins: Plugins,
  terminal: Terminal,
): Promise<PeftPredictor> {
  const [engine, precision, threads] = ['env.engine', 'env.precision', 'env.num_threads'].map(
    (key) => hyperparameters[key],
  );
  const predictor = await PeftPredictor.load(output, {
    engine: engine as EngineName | undefined,
    precision: precision as 'bf16' | undefined,
    threads: threads as number | undefined,
    modules: pluginModules(plugins),
    signal: terminal.signal,
    onListenerError: listenerFailed(terminal),
  });
  const changed = changedIn(predictor, input);
  if (!changed) return predictor;
  predictor.dispose();
  const { what, own, asked } = changed;
  throw new PeftError(
    'PEFT_FIT_CHANGED',
    `fit: the run in ${output} has the ${what} ${show(own ?? 'none')}, not ${show(asked)}.`,
    { hint: 'leave the flag out, or name another --output for a new run' },
  );
}

/** With the name of the method. */
type FinishedInput = Omit<FitInput, 'method'> & { readonly method: string | undefined };

interface Asked {
  readonly what: string;
  readonly own: unknown;
  readonly asked: unknown;
}

/** The first thing that is asked for and that a finished run has otherwise. */
function changedIn(predictor: PeftPredictor, input: FinishedInput): Asked | undefined {
  const { method, label, labels, task, problemType } = input;
  const roles = predictor.columnRoles ?? {};
  const all: readonly Asked[] = [
    { what: 'method', own: predictor.fitSummary().method, asked: method },
    { what: 'task', own: predictor.task, asked: task },
    { what: 'label', own: predictor.label, asked: labels ?? label },
    { what: 'problem type', own: predictor.problemType, asked: problemType },
    ...Object.entries(columnRolesOf(input) ?? {}).map(([role, asked]): Asked => ({
      what: `column of ${role}`,
      own: roles[role],
      asked,
    })),
  ];
  return all.find(({ own, asked }) => asked !== undefined && show(asked) !== show(own));
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
function columnRolesOf({ map = {} }: Pick<FitInput, 'map'>): Record<string, string> | undefined {
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
