/**
 * The options of `peft fit`, each once: its flag, its key in a run file (the name in this table),
 * its help, how its value is read, and the setting that it stands for, if any.
 */
import { TARGET_NAMES } from '@peft/export';
import { OTHER_TASK_NAMES, PRESETS, TASK_NAMES } from '@peft/predictor';
import { ENGINES } from './engine-flags.js';
import { TEMPLATE_NAMES } from './model-flags.js';
import type { FitOption } from './option-kinds.js';
import { RANK_OPTIONS } from '../ranks/rank-option-table.js';
import { TABLE_FLAGS } from './table-flags.js';

export const FIT_OPTIONS = {
  task: {
    flags: '--task <name>',
    kind: 'text',
    help: `${TASK_NAMES.join(', ')}; default: classification, multi-label-classification or regression, by the labels`,
    group: 'Data',
    choices: TASK_NAMES,
    otherNames: OTHER_TASK_NAMES,
  },
  label: {
    flags: '-l, --label <column>',
    kind: 'text',
    help: 'the column to predict (classification, regression; lists of labels)',
    group: 'Data',
  },
  labels: {
    flags: '--labels <column...>',
    kind: 'names',
    help: 'columns of 0 and 1, one for each label that a row may have (multi-label-classification)',
    group: 'Data',
  },
  sampleWeight: {
    flags: '--sample-weight <column>',
    kind: 'text',
    help: 'a column that says how much each training row counts',
    group: 'Data',
  },
  taskIdColumn: {
    flags: '--task-id-column <column>',
    kind: 'text',
    help:
      'a column that says which task each row is of, from 0, for methods that learn several ' +
      '(poly, multitask-prompt-tuning)',
    group: 'Data',
  },
  labelSeparator: {
    flags: '--label-separator <text>',
    kind: 'text',
    help: 'what stands between the labels of a row, | in news|sports; default: lists',
    group: 'Data',
    setting: 'data.label_separator',
  },
  map: {
    flags: '--map <role=column...>',
    kind: 'keyValues',
    help:
      'columns of the other tasks: text; prompt, completion; messages, tools; ' +
      'conversations; instruction, input, output (causal-lm), source, target (seq2seq), ' +
      'tokens, tags (token-classification), anchor, positive, negative (embeddings), ' +
      'query, document, relevance or query, positive, negative (ranking), ' +
      'prompt, chosen, rejected or prompt, completion, label (preference, reward), prompt (grpo)',
    group: 'Data',
  },
  reward: {
    flags: '--reward <file...>',
    kind: 'names',
    help: 'modules that export a reward by default (grpo), FILE or FILE=WEIGHT; their code runs',
    group: 'Data',
    isFlagOnly: true,
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
  revision: {
    flags: '--revision <name>',
    kind: 'text',
    help: 'branch, tag or commit of the checkpoint on the hub, as in NAME@REVISION',
    group: 'Model and method',
    setting: 'model.hf_text.revision',
  },
  addTokens: {
    flags: '--add-tokens <token...>',
    kind: 'names',
    help: 'tokens that the vocabulary gets, which train and are saved with the model: a,b',
    group: 'Model and method',
    setting: 'data.added_tokens',
  },
  adapter: {
    flags: '--adapter <folder>',
    kind: 'path',
    help: 'an adapter of any method to go on from, ours or of PEFT, or a saved model',
    group: 'Model and method',
  },
  baseAdapter: {
    flags: '--base-adapter <folder>',
    kind: 'path',
    help: 'an adapter or a saved model that stays as it is beneath the one that trains',
    group: 'Model and method',
  },
  for: {
    flags: '--for <target>',
    kind: 'text',
    help: `who is to load the adapter, ${TARGET_NAMES.join(', ')}: what it would not load is refused before training`,
    group: 'Model and method',
    choices: TARGET_NAMES,
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
      `chat template for conversations: ${TEMPLATE_NAMES}, or a file ` +
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
      'metric to watch: accuracy, roc_auc, f1, mcc, rmse …; f1_micro, f1_samples; entity_f1; perplexity, rougeL, ' +
      'bleu, exact_match; mean_reciprocal_rank; ndcg@10, mrr@10, map',
    group: 'Training',
  },
  labelSmoothing: {
    flags: '--label-smoothing <share>',
    kind: 'scalar',
    help: 'share of each label that is spread over all classes',
    group: 'Training',
    setting: 'optim.label_smoothing',
  },
  focalGamma: {
    flags: '--focal-gamma <number>',
    kind: 'scalar',
    help: 'focal loss: how much easy rows lose in weight',
    group: 'Training',
    setting: 'optim.focal_gamma',
  },
  classWeights: {
    flags: '--class-weights <numbers>',
    kind: 'scalar',
    help: 'balanced, or [1,3] in the order of the classes',
    group: 'Training',
    setting: 'optim.class_weights',
  },
  neftuneAlpha: {
    flags: '--neftune-alpha <number>',
    kind: 'scalar',
    help: 'noise on the embeddings while training',
    group: 'Training',
    setting: 'optim.neftune_alpha',
  },
  loraPlusRatio: {
    flags: '--lora-plus-ratio <number>',
    kind: 'scalar',
    help: "LoRA+: how many times the others' rate that of LoRA's B is",
    group: 'Training',
    setting: 'optim.lora_plus_ratio',
  },
  threshold: {
    flags: '--threshold <probability>',
    kind: 'scalar',
    help: 'a row has a label from there on; tuned: found for each label on the validation rows',
    group: 'Training',
    setting: 'data.label_threshold',
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
    help:
      'resume an interrupted run in the output folder from its last checkpoint; with --epochs, ' +
      'train a finished one for so many more',
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
  ...RANK_OPTIONS,
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
  mlflow: {
    flags: '--mlflow <url>',
    kind: 'text',
    help: 'send parameters, metrics and the adapter to an MLflow server, such as http://127.0.0.1:5000',
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
