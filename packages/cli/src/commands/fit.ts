/** `peft fit`: fine-tunes a model on a file of examples and saves it. */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import type { Module, TrainEvent } from '@peft/core';
import { PeftError, show } from '@peft/errors';
import { launchOf } from '@peft/mpi';
import {
  PeftPredictor,
  uncheckedHyperparameters,
  type EngineName,
  type Scores,
} from '@peft/predictor';
import { readJsonObject, type JsonObject } from '@peft/hub';
import {
  createJsonlLog,
  createMlflowLog,
  createTensorBoardLog,
  RUN_FILE,
  type MlflowLog,
} from '@peft/trainer';
import {
  columnRolesOf,
  firstFitOptionsOf,
  fitOptionsOf,
  methodOf,
  predictorOptionsOf,
  readingOf,
  requiredOf,
} from '../options/fit-call.js';
import { addFitOptions, fitInputOfFlags, type FitInput } from '../options/fit-options.js';
import { mergeFitInputs } from '../options/merge-fit-inputs.js';
import { allowedPlugins, loadPlugins, pluginModules, type Plugins } from '../options/plugins.js';
import { loadRewards } from '../options/modules/load-rewards.js';
import { requestOf } from '../run-file/request-of.js';
import { readRunFile } from '../run-file/read-run-file.js';
import { endRank, silent } from '../ranks/end-rank.js';
import { joinRanks, type JoinedRanks } from '../ranks/join-ranks.js';
import { isBaseShared, pipelineOf } from '../ranks/pipeline-of.js';
import { launchRanks } from '../ranks/launch-ranks.js';
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
  peft fit -c run.yaml --ranks 4 --hosts a:2,b:2
  peft fit -c run.yaml --ranks 2 --hosts a,b --pipeline 2

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
        const { ranks = 1, hosts } = input;
        const size = launchOf(process.env)?.size ?? ranks;
        const [pipeline, isShared] = [pipelineOf(input, size), isBaseShared(input, size)];
        if (ranks > 1 && !launchOf(process.env))
          return launchRanks(argv, { ranks, hosts }, terminal);
        const plugins = await loadPlugins(allowedPlugins(config, inFile, flags));
        const joined = await joinRanks(pipeline, isShared);
        try {
          await fitAsRank(input, plugins, terminal, joined);
        } catch (cause) {
          const { output } = input;
          const error = withResumeHint(cause, { argv, output, isResumed: isResumed(input) });
          if (joined) await endRank(error, joined.ranks, terminal, input.json === true);
          throw error;
        }
      },
    );
}

/** The first rank, or the only one, tells of the run. */
async function fitAsRank(
  input: FitInput,
  plugins: Plugins,
  terminal: Terminal,
  joined: JoinedRanks | undefined,
): Promise<void> {
  if (!joined) return terminal.out(await fit(input, plugins, terminal));
  const { ranks, threads } = joined;
  const shared = {
    ...input,
    hyperparameters: { 'env.num_threads': threads, ...input.hyperparameters },
  };
  if (ranks.rank === 0) terminal.out(await fit(shared, plugins, terminal, joined));
  else
    await fit(
      { ...shared, quiet: true, log: undefined, tensorboard: undefined, test: undefined },
      plugins,
      silent(terminal),
      joined,
    );
  await ranks.close();
}

async function fit(
  input: FitInput,
  plugins: Plugins,
  terminal: Terminal,
  joined?: JoinedRanks,
): Promise<string> {
  const { train, output } = requiredOf(input);
  const isFurther = trainsFurther(input, output);
  const modules = [...pluginModules(plugins), ...(joined ? [joined.module] : [])];
  const method = methodOf(input, plugins)?.name;
  const predictor = isFurther
    ? await finishedRun({ ...input, method }, output, modules, terminal)
    : new PeftPredictor({
        ...predictorOptionsOf(input, plugins),
        modules,
        onListenerError: listenerFailed(terminal),
      });
  const reading = readingOf(input);
  const progress = createProgress(terminal);
  const isQuiet = input.quiet === true || input.json === true;
  const mlflow = mlflowOf(input, output);
  const sinks = [
    isQuiet ? warningsOnly(terminal) : progress.listen,
    ...logsOf(input),
    ...(mlflow ? [mlflow.listen] : []),
  ];
  for (const sink of sinks) predictor.listen(sink);
  const tell = (sentence: string): void => terminal.err(`note: ${sentence}`);
  try {
    terminal.sayAtStop('stopping after this step');
    await predictor.fit(train, {
      rewards: await loadRewards('fit', input.reward ?? []),
      ...(isFurther
        ? {
            ...fitOptionsOf(input, tell),
            hyperparameters: uncheckedHyperparameters(input.hyperparameters ?? {}),
          }
        : {
            ...firstFitOptionsOf(input, plugins, tell),
            resume: input.resume,
            resumeFrom: stepOrFolder(input.resumeFrom),
            // the same number of epochs leaves the schedule as it is
            restateSchedule: isResumed(input) && input.epochs !== undefined,
          }),
      request: requestOf(input),
      signal: terminal.signal,
    });
    progress.stop();
    await mlflow?.sendFiles(output, filesIn(output)).catch(listenerFailed(terminal));
    terminal.sayAtStop('stopping');
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
    await mlflow?.sent();
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
  modules: readonly Module[],
  terminal: Terminal,
): Promise<PeftPredictor> {
  const [engine, precision, threads] = ['env.engine', 'env.precision', 'env.num_threads'].map(
    (key) => hyperparameters[key],
  );
  const predictor = await PeftPredictor.load(output, {
    engine: engine as EngineName | undefined,
    precision: precision as 'bf16' | undefined,
    threads: threads as number | undefined,
    modules,
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
  return all.find(
    ({ own, asked }) => asked !== undefined && JSON.stringify(asked) !== JSON.stringify(own),
  );
}

/** `40` is a step, `checkpoint-40` and paths are folders. */
const stepOrFolder = (text: string | undefined): number | string | undefined =>
  text !== undefined && /^\d+$/.test(text) ? Number(text) : text;

const logsOf = ({ log, tensorboard }: FitInput): ((event: TrainEvent) => void)[] => [
  ...(log === undefined ? [] : [createJsonlLog(log)]),
  ...(tensorboard === undefined ? [] : [createTensorBoardLog(tensorboard)]),
];

/** With the settings that the run's folder tells by the time steps are done. */
const mlflowOf = ({ mlflow }: FitInput, output: string): MlflowLog | undefined =>
  mlflow === undefined
    ? undefined
    : createMlflowLog({
        url: mlflow,
        runName: basename(output),
        parameters: () => settingsIn(join(output, RUN_FILE)),
      });

/** What tells and makes up the adapter, of the files of a saved predictor. */
const filesIn = (output: string): string[] => [
  ...[RUN_FILE, 'predictor.json'].filter((path) => existsSync(join(output, path))),
  ...(existsSync(join(output, 'adapter')) ? readdirSync(join(output, 'adapter')) : []).map(
    (name) => `adapter/${name}`,
  ),
];

const settingsIn = (file: string): JsonObject =>
  (readJsonObject(file)?.['settings'] ?? {}) as JsonObject;

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
