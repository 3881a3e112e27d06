/**
 * The options of `peft fit`, each once: its flag, its key in a run file (the name in this table),
 * its help, how its value is read, and the setting that it stands for, if any.
 */
import { type Command, Option } from 'commander';
import { check } from '@peft/errors';
import { PRESETS, TASK_NAMES } from '@peft/predictor';
import { ENGINES } from './engine-flags.js';
import { valueInFile, valueOfFlag, type KindValues, type OptionKind } from './option-kinds.js';
import { TABLE_FLAGS } from './table-flags.js';

interface FitOption {
  /** As commander takes them. */
  readonly flags: string;
  readonly kind: OptionKind;
  readonly help: string;
  readonly group: 'Data' | 'Model and method' | 'Training' | 'Run';
  /** Further flag that switches it off, with its help. */
  readonly off?: readonly [flags: string, help: string];
  readonly choices?: readonly string[];
  /** The setting that it is another name of. */
  readonly setting?: string;
  /** Only on the command line. */
  readonly isFlagOnly?: true;
}

export const FIT_OPTIONS = {
  task: {
    flags: '--task <name>',
    kind: 'text',
    help: `${TASK_NAMES.join(', ')}; default: classification or regression, by the labels`,
    group: 'Data',
    choices: TASK_NAMES,
  },
  label: {
    flags: '-l, --label <column>',
    kind: 'text',
    help: 'the column to predict (classification, regression)',
    group: 'Data',
  },
  map: {
    flags: '--map <role=column...>',
    kind: 'keyValues',
    help:
      'columns of the other tasks: text; prompt, completion; messages, tools; ' +
      'conversations; instruction, input, output (causal-lm), source, target (seq2seq), ' +
      'tokens, tags (token-classification), anchor, positive, negative (embeddings)',
    group: 'Data',
  },
  text: {
    flags: '-t, --text <column...>',
    kind: 'names',
    help: 'the text columns; default: every column that holds texts',
    group: 'Data',
  },
  columns: {
    flags: TABLE_FLAGS.columns.flags,
    kind: 'names',
    help: TABLE_FLAGS.columns.help,
    group: 'Data',
  },
  header: {
    flags: TABLE_FLAGS.header.flags,
    kind: 'boolean',
    help: TABLE_FLAGS.header.help,
    group: 'Data',
    off: [TABLE_FLAGS.noHeader.flags, TABLE_FLAGS.noHeader.help],
  },
  delimiter: {
    flags: TABLE_FLAGS.delimiter.flags,
    kind: 'text',
    help: TABLE_FLAGS.delimiter.help,
    group: 'Data',
  },
  quotes: {
    flags: TABLE_FLAGS.noQuotes.flags,
    kind: 'boolean',
    help: TABLE_FLAGS.noQuotes.help,
    group: 'Data',
  },
  tune: {
    flags: '--tune <table>',
    kind: 'path',
    help: 'validation table; default: a part of the training rows',
    group: 'Data',
  },
  test: {
    flags: '--test <table...>',
    kind: 'paths',
    help: 'tables to score at the end',
    group: 'Data',
  },
  sample: {
    flags: '--sample <rows>',
    kind: 'positiveInteger',
    help: 'train on that many rows, drawn by the seed',
    group: 'Data',
  },
  problemType: {
    flags: '--problem-type <type>',
    kind: 'text',
    help: 'binary, multiclass or regression; default: found from the labels',
    group: 'Data',
    choices: ['binary', 'multiclass', 'regression'],
  },
  model: {
    flags: '-m, --model <name>',
    kind: 'reference',
    help: "checkpoint: a folder or a hub id; default: the preset's",
    group: 'Model and method',
    setting: 'model.hf_text.checkpoint_name',
  },
  method: {
    flags: '--method <name>',
    kind: 'text',
    help: 'ia3_bias, lora, qlora … ; peft methods lists them; default: the setting optim.peft',
    group: 'Model and method',
  },
  methodOptions: {
    flags: '--option <key=value...>',
    kind: 'keyValues',
    help: 'options of the method: rank=16 targets=all-linear',
    group: 'Model and method',
  },
  plugins: {
    flags: '--plugin <module...>',
    kind: 'references',
    help: 'modules that export further methods: paths, or names of installed packages',
    group: 'Model and method',
  },
  allowPlugins: {
    flags: '--allow-plugins',
    kind: 'boolean',
    help: "also load the modules that the run file names (they are code, and run with the user's rights)",
    group: 'Model and method',
    isFlagOnly: true,
  },
  chatTemplate: {
    flags: '--chat-template <name>',
    kind: 'reference',
    help:
      'chat template for conversations: chatml, llama3, gemma, mistral, alpaca, or a file ' +
      '(default: that of the checkpoint)',
    group: 'Model and method',
    setting: 'data.chat_template',
  },
  presets: {
    flags: '--presets <name>',
    kind: 'text',
    help: `one of ${Object.keys(PRESETS).join(', ')}`,
    group: 'Training',
  },
  hyperparameters: {
    flags: '-s, --set <key=value...>',
    kind: 'keyValues',
    help: 'settings: optim.lr=3e-3 optim.lr_decay=0.9 env.batch_size=32 …',
    group: 'Training',
  },
  epochs: {
    flags: '--epochs <number>',
    kind: 'scalar',
    help: 'passes over the data',
    group: 'Training',
    setting: 'optim.max_epochs',
  },
  learningRate: {
    flags: '--learning-rate <number>',
    kind: 'scalar',
    help: 'step size of the optimiser',
    group: 'Training',
    setting: 'optim.lr',
  },
  batchSize: {
    flags: '--batch-size <rows>',
    kind: 'scalar',
    help: 'rows per optimiser step',
    group: 'Training',
    setting: 'env.batch_size',
  },
  metric: {
    flags: '--metric <name>',
    kind: 'text',
    help:
      'metric to watch: accuracy, roc_auc, f1, mcc, rmse …; entity_f1; perplexity, rougeL, ' +
      'bleu, exact_match; mean_reciprocal_rank',
    group: 'Training',
  },
  seed: {
    flags: '--seed <number>',
    kind: 'nonNegativeInteger',
    help: 'decides sample, split, order, dropout and initialisation',
    group: 'Training',
    setting: 'env.seed',
  },
  timeLimitSeconds: {
    flags: '--time-limit <seconds>',
    kind: 'positiveNumber',
    help: 'end the training after that time',
    group: 'Training',
  },
  engine: {
    flags: '--engine <name>',
    kind: 'text',
    help: `${ENGINES.join(', ')}, or one of a plug-in`,
    group: 'Run',
    setting: 'env.engine',
  },
  precision: {
    flags: '--precision <name>',
    kind: 'scalar',
    help: 'auto, bf16 or 32',
    group: 'Run',
    setting: 'env.precision',
  },
  threads: {
    flags: '--threads <number>',
    kind: 'scalar',
    help: 'threads of the native engine; 0: all cores',
    group: 'Run',
    setting: 'env.num_threads',
  },
  output: {
    flags: '-o, --output <folder>',
    kind: 'path',
    help: 'where the model goes; must be empty or new',
    group: 'Run',
  },
  standalone: {
    flags: '--no-standalone',
    kind: 'boolean',
    help: 'do not copy the base model into the output folder',
    group: 'Run',
  },
  resume: {
    flags: '--resume',
    kind: 'boolean',
    help: 'resume an interrupted run in the output folder from its last checkpoint',
    group: 'Run',
    isFlagOnly: true,
  },
  resumeFrom: {
    flags: '--resume-from <checkpoint>',
    kind: 'text',
    help: 'resume from another checkpoint than the last: its step, checkpoint-STEP, or its path',
    group: 'Run',
    isFlagOnly: true,
  },
  log: {
    flags: '--log <file>',
    kind: 'path',
    help: 'write every event as a line of JSON',
    group: 'Run',
  },
  tensorboard: {
    flags: '--tensorboard <folder>',
    kind: 'path',
    help: 'write event files for TensorBoard',
    group: 'Run',
  },
  quiet: {
    flags: '-q, --quiet',
    kind: 'boolean',
    help: 'no progress',
    group: 'Run',
    isFlagOnly: true,
  },
  json: {
    flags: '--json',
    kind: 'boolean',
    help: 'print one JSON object at the end',
    group: 'Run',
    isFlagOnly: true,
  },
} as const satisfies Readonly<Record<string, FitOption>>;

type FitOptionName = keyof typeof FIT_OPTIONS;

/** One of its choices where it has some, else what its kind holds. */
type ValueOf<Entry extends FitOption> = Entry extends {
  readonly choices: readonly (infer Choice)[];
}
  ? Choice
  : KindValues[Entry['kind']];

/** The options that a user gave, by their names in the table. */
export type FitInput = {
  readonly [Name in FitOptionName]?: ValueOf<(typeof FIT_OPTIONS)[Name]>;
} & {
  /** The training data: the command's argument. */
  readonly train?: string;
};

const ENTRIES: readonly (readonly [FitOptionName, FitOption])[] = Object.entries(
  FIT_OPTIONS,
) as never; // Object.entries forgets that the keys are the table's
const GROUPS = [...new Set(ENTRIES.map(([, { group }]) => group))];

/** Keys of a run file. */
export const RUN_FILE_KEYS: readonly string[] = Object.freeze([
  'train',
  ...ENTRIES.flatMap(([name, { isFlagOnly }]) => (isFlagOnly ? [] : [name])),
]);

export function addFitOptions(command: Command): Command {
  for (const group of GROUPS)
    for (const [, option] of ENTRIES)
      if (option.group === group) for (const made of flagsOf(option)) command.addOption(made);
  return command;
}

function flagsOf({ flags, help, off, group, setting }: FitOption): Option[] {
  const text = setting === undefined ? help : `${help} (${setting})`;
  const given: (readonly [string, string])[] = off ? [[flags, text], off] : [[flags, text]];
  return given.map(([words, meaning]) => new Option(words, meaning).helpGroup(`${group}:`));
}

/**
 * What was typed.
 * @throws PEFT_OPTION_INVALID, PEFT_CONFIG_INVALID naming the flag
 */
export function fitInputOfFlags(train: string | undefined, command: Command): FitInput {
  const given = ENTRIES.flatMap(([name, option]) => {
    const [made] = flagsOf(option);
    const attribute = made!.attributeName();
    if (command.getOptionValueSource(attribute) !== 'cli') return [];
    const value = valueOfFlag(option.kind, 'fit', made!.long!, command.getOptionValue(attribute));
    if (option.choices) check.oneOf('fit', made!.long!, value, option.choices);
    return [[name, value] as const];
  });
  return { train, ...Object.fromEntries(given) };
}

/**
 * What a run file holds.
 * @param file its path; its own paths are relative to it.
 * @throws PEFT_CONFIG_UNKNOWN_KEY with the nearest key, PEFT_CONFIG_INVALID for a value of another
 *   type
 */
export function fitInputOfFile(file: string, values: Readonly<Record<string, unknown>>): FitInput {
  check.knownKeys(`run file ${file}`, values, RUN_FILE_KEYS);
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => {
      if (key === 'train') return [key, valueInFile('path', file, key, value)];
      const { kind, choices } = FIT_OPTIONS[key as FitOptionName] as FitOption;
      const checked = valueInFile(kind, file, key, value);
      if (choices) check.oneOf(`run file ${file}`, key, checked, choices);
      return [key, checked];
    }),
  );
}

/** Flags win over the file, in mappings key by key. */
export function mergeFitInputs(file: FitInput, flags: FitInput): FitInput {
  return {
    ...file,
    ...flags,
    train: flags.train ?? file.train,
    map: { ...file.map, ...flags.map },
    methodOptions: { ...file.methodOptions, ...flags.methodOptions },
    hyperparameters: {
      ...flat(file.hyperparameters ?? {}),
      ...settingsOf(file),
      ...settingsOf(flags),
      ...flags.hyperparameters,
    },
  };
}

/** The options that are settings under another name. */
const settingsOf = (input: FitInput): Record<string, unknown> =>
  Object.fromEntries(
    ENTRIES.flatMap(([name, { setting }]) =>
      setting === undefined || input[name] === undefined ? [] : [[setting, input[name]]],
    ),
  );

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
