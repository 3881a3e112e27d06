/** `peft fit`: fine-tunes a model on a file of examples and saves it. */
import type { Command } from 'commander';
import type { TrainEvent } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import {
  ENGINE_NAMES,
  isTableTask,
  parseScalar,
  PeftPredictor,
  PRESETS,
  TASK_NAMES,
  type EngineName,
  type TaskName,
} from '@peft/predictor';
import { createJsonlLog, createTensorBoardLog } from '@peft/trainer';
import { bytes, count, duration, table } from '../terminal/format.js';
import { loadPlugins, methodModules, methodNamed, methodSettings } from '../method-set.js';
import { createProgress } from '../terminal/progress.js';
import { names } from '../options/names.js';
import { readRunFile, type RunFile } from '../options/run-file.js';
import type { Terminal } from '../terminal/terminal.js';

interface FitFlags {
  readonly config?: string;
  readonly task?: string;
  readonly map: string[];
  readonly label?: string;
  readonly text?: string[];
  readonly columns?: string[];
  readonly header?: boolean;
  readonly tune?: string;
  readonly test?: string[];
  readonly sample?: string;
  readonly output?: string;
  readonly model?: string;
  readonly method?: string;
  readonly option: string[];
  readonly presets?: string;
  readonly set: string[];
  readonly epochs?: string;
  readonly learningRate?: string;
  readonly batchSize?: string;
  readonly problemType?: string;
  readonly metric?: string;
  readonly engine?: string;
  readonly precision?: string;
  readonly threads?: string;
  readonly seed?: string;
  readonly timeLimit?: string;
  readonly resume?: boolean;
  readonly standalone: boolean;
  readonly plugin?: string[];
  readonly log?: string;
  readonly tensorboard?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Flags that are settings under another name. */
const SETTING_FLAGS: readonly (readonly [keyof FitFlags, string])[] = [
  ['epochs', 'optim.max_epochs'],
  ['learningRate', 'optim.lr'],
  ['batchSize', 'env.batch_size'],
  ['precision', 'env.precision'],
  ['threads', 'env.num_threads'],
];

export function addFit(program: Command, terminal: Terminal): void {
  program
    .command('fit')
    .summary('fine-tune a model on a file of examples')
    .description(
      'Fine-tunes a model on a table (CSV, TSV, JSON Lines, Parquet) or text file and saves model, adapter and scores into a folder.',
    )
    .argument('[train]', 'the training examples')
    .option(
      '-c, --config <file>',
      'a run file (YAML): train, tune, label, model, method, hyperparameters …; flags win over it',
    )
    .option(
      '--task <name>',
      `${TASK_NAMES.join(', ')}; default: classification or regression, by the labels`,
    )
    .option('-l, --label <column>', 'the column to predict (classification, regression)')
    .option(
      '--map <role=column...>',
      'columns of the other tasks: text; prompt, completion; messages (causal-lm), source, target (seq2seq), tokens, tags (token-classification), anchor, positive, negative (embeddings)',
      [],
    )
    .option('-t, --text <column...>', 'the text columns; default: every column that holds texts')
    .option(
      '--columns <names...>',
      'names of the columns of a file without a header: --columns label,text',
    )
    .option('--header', 'the first line names the columns (default: found from the cells)')
    .option('--no-header', 'the first line is data')
    .option('--tune <table>', 'validation table; default: a part of the training rows')
    .option('--test <table...>', 'tables to score at the end')
    .option('--sample <rows>', 'train on that many rows, drawn by the seed')
    .option('-o, --output <folder>', 'where the model goes; must be empty or new')
    .option('-m, --model <name>', "checkpoint: a folder or a hub id; default: the preset's")
    .option(
      '--method <name>',
      'ia3_bias, lora, qlora … ; peft methods lists them; default: the setting optim.peft',
    )
    .option('--option <key=value...>', 'options of the method: rank=16 targets=all-linear', [])
    .option('--presets <name>', `one of ${Object.keys(PRESETS).join(', ')}`)
    .option(
      '-s, --set <key=value...>',
      'settings: optim.lr=3e-3 optim.lr_decay=0.9 env.batch_size=32 …',
      [],
    )
    .option('--epochs <number>', 'passes over the data (optim.max_epochs)')
    .option('--learning-rate <number>', 'learning rate (optim.lr)')
    .option('--batch-size <rows>', 'rows per optimiser step (env.batch_size)')
    .option(
      '--problem-type <type>',
      'binary, multiclass or regression; default: found from the labels',
    )
    .option(
      '--metric <name>',
      'metric to watch: accuracy, roc_auc, f1, mcc, rmse …; entity_f1; perplexity, rougeL, bleu, exact_match; mean_reciprocal_rank',
    )
    .option('--engine <name>', `auto, ${ENGINE_NAMES.join(', ')}`)
    .option('--precision <name>', 'auto, bf16 or 32')
    .option('--threads <number>', 'threads of the native engine; 0: all cores')
    .option('--seed <number>', 'decides sample, split, order, dropout and fresh weights')
    .option('--time-limit <seconds>', 'end the training after that time')
    .option('--resume', 'go on with an interrupted run in the output folder')
    .option('--no-standalone', 'do not copy the base model into the output folder')
    .option('--plugin <module...>', 'modules that export further methods')
    .option('--log <file>', 'write every event as a line of JSON')
    .option('--tensorboard <folder>', 'write event files for TensorBoard')
    .option('-q, --quiet', 'no progress')
    .option('--json', 'print one JSON object at the end')
    .addHelpText(
      'after',
      '\nExamples:\n  peft fit train.tsv --columns label,text --label label --model ./model --method ia3_bias --output out\n  peft fit chats.jsonl --task causal-lm --model ./model --method lora --option rank=16 --output out\n  peft fit pairs.jsonl --task seq2seq --map source=facts target=text --model google/flan-t5-small --output out\n  peft fit -c run.yaml --epochs 3\n\nCtrl-C stops after the present step with a checkpoint; the same command with --resume goes on.',
    )
    .action(async (train: string | undefined, flags: FitFlags, command: Command) =>
      terminal.out(await fit(train, flags, command, terminal)),
    );
}

async function fit(
  trainArgument: string | undefined,
  flags: FitFlags,
  command: Command,
  terminal: Terminal,
): Promise<string> {
  const file: RunFile = flags.config === undefined ? {} : readRunFile(flags.config);
  const task = (flags.task ?? file.task) as TaskName | undefined;
  if (task !== undefined) check.oneOf('fit', '--task', task, TASK_NAMES);
  const label =
    flags.label ??
    file.label ??
    (isTableTask(task)
      ? missing(
          '--label',
          'the column to predict (or --task causal-lm, seq2seq … for what is not told by a label)',
        )
      : undefined);
  const columnRoles = { ...file.map, ...roles(flags.map) };
  const train = trainArgument ?? file.train ?? missing('TRAIN', 'the training table');
  const output = flags.output ?? file.output ?? missing('--output', 'the folder for the model');
  const header = command.getOptionValueSource('header') === 'cli' ? flags.header : file.header;
  const seed = flags.seed === undefined ? file.seed : integer('--seed', flags.seed);
  const text = names(flags.text) ?? file.text;
  const columns = names(flags.columns) ?? file.columns;
  const reading = { ...(columns && { columns }), ...(header !== undefined && { header }) };
  const sample = flags.sample === undefined ? file.sample : integer('--sample', flags.sample);
  const plugins = await loadPlugins([...(file.plugins ?? []), ...(flags.plugin ?? [])]);
  const methodOptions = { ...file.methodOptions, ...pairs('--option', flags.option) };
  const method = flags.method ?? file.method;
  const hyperparameters = {
    ...methodSettings(method, methodOptions),
    ...settings(flags, file, seed),
  };
  if (method === undefined && Object.keys(methodOptions).length > 0)
    missing('--method', 'the method whose options these are');
  const spec = method === undefined ? undefined : methodNamed(method, methodOptions, plugins, task);
  const problemType = flags.problemType ?? file.problemType;
  if (problemType !== undefined)
    check.oneOf('fit', '--problem-type', problemType, ['binary', 'multiclass', 'regression']);
  const metric = flags.metric ?? file.metric;
  const timeLimitSeconds =
    flags.timeLimit === undefined
      ? file.timeLimitSeconds
      : positive('--time-limit', flags.timeLimit);
  const presets = flags.presets ?? file.presets;
  const tuningData = flags.tune ?? file.tune;
  const tests = flags.test ?? file.test ?? [];

  const predictor = new PeftPredictor({
    path: output,
    ...(task !== undefined && { task }),
    ...(label !== undefined && { label }),
    ...(Object.keys(columnRoles).length > 0 && { columnRoles }),
    modules: methodModules(plugins),
    ...(problemType !== undefined && { problemType: problemType }),
    ...(metric !== undefined && { evalMetric: metric }),
    onListenerError: (error) =>
      terminal.err(`warning: a listener failed: ${(error as Error).message}`),
  });
  const progress = createProgress(terminal);
  const logs = [
    flags.log === undefined ? undefined : createJsonlLog(flags.log),
    flags.tensorboard === undefined ? undefined : createTensorBoardLog(flags.tensorboard),
  ].filter((log) => log !== undefined);
  const sinks = [
    ...(flags.quiet || flags.json ? [warningsOnly(terminal)] : [progress.listen]),
    ...logs,
  ];
  for (const sink of sinks) predictor.listen(sink);
  try {
    await predictor.fit(train, {
      hyperparameters,
      signal: terminal.signal,
      standalone: flags.standalone,
      resume: flags.resume ?? false,
      ...(presets !== undefined && { presets }),
      ...(spec && { method: spec }),
      ...(tuningData && { tuningData }),
      ...(sample !== undefined && { sample }),
      ...(seed !== undefined && { seed }),
      ...(timeLimitSeconds !== undefined && { timeLimitSeconds }),
      ...reading,
      ...(text && { textColumns: text }),
    });
    progress.stop();
    const scores = [];
    for (const test of tests)
      scores.push({
        table: test,
        scores: await predictor.evaluate(test, { ...reading, signal: terminal.signal }),
      });
    const summary = predictor.fitSummary();
    if (flags.json)
      return JSON.stringify({
        ...summary,
        modelSizeMegabytes: predictor.modelSizeMegabytes,
        output,
        tests: scores,
      });
    return [
      `${summary.metric} ${summary.validationScore.toFixed(4)} on ${count(summary.validationRows)} validation rows, after ${count(summary.steps)} steps in ${duration(summary.trainingSeconds)} (${bytes(summary.peakMemoryBytes)} at most${summary.plannedPeakBytes === undefined ? '' : `, ${bytes(summary.plannedPeakBytes)} planned`})`,
      ...(scores.length
        ? [
            '',
            table([
              ['test', ...Object.keys(scores[0]!.scores)],
              ...scores.map((entry) => [
                entry.table,
                ...Object.values(entry.scores).map((score) => score.toFixed(4)),
              ]),
            ]),
            '',
          ]
        : []),
      `saved to ${output}; use it with: ${task === 'causal-lm' || task === 'seq2seq' ? `peft generate ${output} --prompt TEXT` : `peft predict ${output} TABLE`}`,
    ].join('\n');
  } finally {
    progress.stop();
    predictor.dispose();
  }
}

/** Warnings are shown even when progress is not. */
function warningsOnly(terminal: Terminal): (event: TrainEvent) => void {
  return (event) => {
    if (event.type === 'run/warned')
      terminal.err(
        `warning ${event.code}: ${event.message}${event.hint ? `\n  hint: ${event.hint}` : ''}`,
      );
  };
}

function settings(
  flags: FitFlags,
  file: RunFile,
  seed: number | undefined,
): Record<string, unknown> {
  const engine = flags.engine ?? file.engine;
  if (engine !== undefined)
    check.oneOf('fit', '--engine', engine, ['auto', ...ENGINE_NAMES] as ('auto' | EngineName)[]);
  const model = flags.model ?? file.model;
  return {
    ...flat(file.hyperparameters ?? {}),
    ...(model !== undefined && { 'model.hf_text.checkpoint_name': model }),
    ...(engine !== undefined && { 'env.engine': engine }),
    ...(seed !== undefined && { 'env.seed': seed }),
    ...Object.fromEntries(
      SETTING_FLAGS.flatMap(([flag, key]) =>
        flags[flag] === undefined ? [] : [[key, parseScalar(String(flags[flag]))]],
      ),
    ),
    ...pairs('--set', flags.set),
  };
}

/** Nested settings of a run file under their dotted keys, so that a flag replaces one of them. */
function flat(value: Readonly<Record<string, unknown>>, prefix = ''): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) =>
      typeof inner === 'object' && inner !== null && !Array.isArray(inner)
        ? Object.entries(flat(inner as Record<string, unknown>, `${prefix}${key}.`))
        : [[`${prefix}${key}`, inner]],
    ),
  );
}

/** `prompt=question` as `{ prompt: 'question' }`. */
const roles = (words: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    Object.entries(pairs('--map', words)).map(([role, column]) => [role, String(column)]),
  );

function pairs(flag: string, words: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf('=');
      if (at <= 0)
        throw new PeftError(
          'PEFT_OPTION_INVALID',
          `${flag}: ${JSON.stringify(word)} is not of the form key=value.`,
        );
      return [word.slice(0, at), parseScalar(word.slice(at + 1))];
    }),
  );
}

function integer(flag: string, text: string): number {
  const value = Number(text);
  check.nonNegativeInteger('fit', flag, text.trim() === '' ? text : value);
  return value;
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  check.positive('fit', flag, value);
  return value;
}

function missing(what: string, meaning: string): never {
  throw new PeftError('PEFT_OPTION_MISSING', `fit: ${what} is needed: ${meaning}.`, {
    hint: 'peft fit --help shows examples',
  });
}
