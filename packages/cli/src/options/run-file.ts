/**
 * A run file: the options of `peft fit` as YAML or JSON, the same keys in nested or dotted form.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { check, PeftError } from '@peft/errors';
import { parseDocument } from 'yaml';

/** Keys of a run file. Paths are relative to the file. */
export interface RunFile {
  readonly task?: string;
  readonly train?: string;
  readonly tune?: string;
  readonly test?: readonly string[];
  readonly label?: string;
  /** Which columns a task reads: `{ prompt: question, completion: answer }`. */
  readonly map?: Readonly<Record<string, string>>;
  readonly text?: readonly string[];
  readonly columns?: readonly string[];
  readonly header?: boolean;
  readonly sample?: number;
  readonly output?: string;
  readonly model?: string;
  readonly method?: string;
  readonly methodOptions?: Readonly<Record<string, unknown>>;
  readonly presets?: string;
  readonly problemType?: string;
  readonly metric?: string;
  readonly engine?: string;
  readonly seed?: number;
  readonly timeLimitSeconds?: number;
  readonly hyperparameters?: Readonly<Record<string, unknown>>;
  readonly plugins?: readonly string[];
}

export const RUN_FILE_KEYS: readonly (keyof RunFile)[] = Object.freeze([
  'task',
  'train',
  'tune',
  'test',
  'label',
  'map',
  'text',
  'columns',
  'header',
  'sample',
  'output',
  'model',
  'method',
  'methodOptions',
  'presets',
  'problemType',
  'metric',
  'engine',
  'seed',
  'timeLimitSeconds',
  'hyperparameters',
  'plugins',
]);

/**
 * @throws PEFT_RUN_FILE when it cannot be read or is no mapping, PEFT_CONFIG_UNKNOWN_KEY with the
 *   nearest key
 */
export function readRunFile(path: string): RunFile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new PeftError(
      'PEFT_RUN_FILE',
      `run file ${path}: it cannot be read (${(cause as { code?: string }).code ?? (cause as Error).message}).`,
      { cause },
    );
  }
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem) throw new PeftError('PEFT_RUN_FILE', `run file ${path}: ${problem.message}`);
  const value = document.toJS({ maxAliasCount: 100 }) as unknown;
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new PeftError(
      'PEFT_RUN_FILE',
      `run file ${path}: it must be a mapping of ${RUN_FILE_KEYS.slice(0, 4).join(', ')} …`,
    );
  check.knownKeys(`run file ${path}`, value, RUN_FILE_KEYS);
  return withAbsolutePaths(value as Record<string, unknown>, dirname(resolve(path)));
}

function withAbsolutePaths(file: Record<string, unknown>, folder: string): RunFile {
  const absolute = (value: unknown): unknown =>
    typeof value === 'string' ? resolve(folder, value) : value;
  const list = (value: unknown): unknown => (value === undefined ? undefined : [value].flat());
  const isLocal = (value: unknown): boolean =>
    typeof value === 'string' && /^\.{0,2}\//.test(value);
  return {
    ...file,
    ...('train' in file && { train: absolute(file['train']) }),
    ...('tune' in file && { tune: absolute(file['tune']) }),
    ...('output' in file && { output: absolute(file['output']) }),
    ...('test' in file && { test: (list(file['test']) as unknown[]).map(absolute) }),
    ...('text' in file && { text: list(file['text']) }),
    ...('columns' in file && { columns: list(file['columns']) }),
    ...('plugins' in file && {
      plugins: (list(file['plugins']) as unknown[]).map((plugin) =>
        isLocal(plugin) ? absolute(plugin) : plugin,
      ),
    }),
    ...(isLocal(file['model']) && { model: absolute(file['model']) }),
  } as RunFile;
}
