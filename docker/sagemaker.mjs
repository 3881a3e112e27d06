/**
 * What SageMaker starts in a container: `sagemaker.mjs train` or `sagemaker.mjs serve`.
 *
 * Its contract ("Use your own training algorithms", "Use your own inference code" of Amazon's
 * guide): below /opt/ml lie `input/config/hyperparameters.json` (all values as texts) and
 * `input/data/<channel>`; a training writes `model/`, or why it failed into `output/failure`; a
 * server answers `/ping` and `/invocations` on port 8080.
 */
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** PEFT_ML_ROOT puts the layout elsewhere, for a try without a container. */
const ROOT = process.env.PEFT_ML_ROOT ?? '/opt/ml';
const MODEL = join(ROOT, 'model');
const FAILURE = join(ROOT, 'output', 'failure');
/** What is read; other channels are named. */
const CHANNELS = ['train', 'training', 'validation', 'model'];
const TABLE = /\.(csv|tsv|jsonl|ndjson|json|parquet|txt)$/i;
/** Amazon cuts the reason of a failure there. */
const FAILURE_CHARACTERS = 1024;

/** A text as the value that it stands for: SageMaker writes every hyperparameter as a text. */
function valueOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The only table of a channel; undefined where there is no such channel. */
function tableOf(channel) {
  const folder = join(ROOT, 'input', 'data', channel);
  if (!existsSync(folder)) return undefined;
  const tables = readdirSync(folder).filter((name) => TABLE.test(name));
  if (tables.length === 1) return join(folder, tables[0]);
  throw new Error(
    `the channel ${channel} must hold one table (CSV, TSV, JSON Lines, Parquet, text), it holds ${
      tables.join(', ') || 'none'
    }.`,
  );
}

/**
 * A run file for `peft fit`: hyperparameters are its options; those with a dot (`optim.lr`) are
 * settings.
 */
function runFile() {
  const path = join(ROOT, 'input', 'config', 'hyperparameters.json');
  const given = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {};
  const entries = Object.entries(given)
    .filter(([name]) => !/^sagemaker_/.test(name)) // what Amazon's own toolkit adds
    .map(([name, text]) => [name, valueOf(text)]);
  const data = join(ROOT, 'input', 'data');
  const others = existsSync(data)
    ? readdirSync(data).filter((name) => !CHANNELS.includes(name))
    : [];
  if (others.length > 0)
    process.stderr.write(`warning: channels that are not used: ${others.join(', ')}\n`);
  const settings = entries.filter(([name]) => name.includes('.'));
  const model = join(data, 'model');
  const train = tableOf('train') ?? tableOf('training');
  if (train === undefined) throw new Error(`there is no channel train below ${data}.`);
  return {
    ...Object.fromEntries(entries.filter(([name]) => !name.includes('.'))),
    ...(existsSync(model) ? { model } : {}),
    hyperparameters: Object.fromEntries(settings),
    train,
    ...(tableOf('validation') === undefined ? {} : { tune: tableOf('validation') }),
    output: MODEL,
  };
}

/** The command: of the package that is installed beside this file, or of the clone that it lies in. */
function command() {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const path = join(folder, 'node_modules', '@peft', 'cli', 'bin', 'peft.mjs');
    if (existsSync(path)) return path;
    if (folder === dirname(folder)) throw new Error('@peft/cli is not installed: npm i @peft/cli');
  }
}

/** Runs `peft`, passing signals on. @returns the exit code, and the end of what it said */
function peft(...words) {
  const child = spawn(process.execPath, [command(), ...words], {
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => child.kill(signal));
  let said = '';
  child.stderr.on('data', (data) => {
    process.stderr.write(data);
    said = (said + data).slice(-10 * FAILURE_CHARACTERS);
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code: code ?? 1, said })));
}

function fail(reason) {
  mkdirSync(dirname(FAILURE), { recursive: true });
  writeFileSync(FAILURE, reason.slice(-FAILURE_CHARACTERS));
}

async function train() {
  const file = join(mkdtempSync(join(tmpdir(), 'peft-train-')), 'run.json');
  rmSync(FAILURE, { force: true });
  try {
    writeFileSync(file, JSON.stringify(runFile(), null, 2));
  } catch (error) {
    process.stderr.write(`error: ${error.message}\n`);
    fail(error.message);
    return 1;
  }
  const { code, said } = await peft('fit', '-c', file);
  if (code !== 0) fail(said.slice(Math.max(0, said.lastIndexOf('error '))));
  return code;
}

async function serve() {
  const port = process.env.SAGEMAKER_BIND_TO_PORT ?? '8080';
  const { code } = await peft('serve', MODEL, '--host', '0.0.0.0', '--port', port);
  return code;
}

const [what, ...rest] = process.argv.slice(2);
if ((what !== 'train' && what !== 'serve') || rest.length > 0) {
  process.stderr.write('usage: sagemaker.mjs train|serve\n');
  process.exitCode = 2;
} else process.exitCode = await (what === 'train' ? train() : serve());
