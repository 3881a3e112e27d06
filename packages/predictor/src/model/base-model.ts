/**
 * The base model of a predictor: its files, what tells it from others, and the model made of it.
 */
import { createHash } from 'node:crypto';
import { copyFile, constants, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import {
  architectureFor,
  checkConfigSizes,
  describeModel,
  loadModel,
  withVocabularySize,
  type Architecture,
  type Collective,
  type HeadOptions,
  type Model,
  type ModelDescription,
  type Stage,
  type TrainEvent,
  type WeightQuantization,
} from '@peft/core';
import {
  hasTokenizer,
  loadTokenizer,
  tokenizerWithTokens,
  type LoadTokenizerOptions,
  type TextTokenizer,
} from '@peft/data';
import { PeftError } from '@peft/errors';
import {
  openCheckpoint,
  readJsonObject,
  readModelConfig,
  revisionOfFolder,
  selectModelFiles,
  type JsonObject,
  type ModelFileKind,
  type ResolveModelOptions,
  type TensorStore,
} from '@peft/hub';
import type { Engine } from '@peft/ops';
import { ggufFolder, isGgufFile } from './gguf-folder.js';
import { openVocabulary, type BaseVocabulary, type VocabularyOptions } from './vocabulary.js';

/** The base model's files, where they are and where they came from. */
export interface BaseModel {
  /** Hub id, or the absolute path of a folder or GGUF file. */
  readonly reference: string;
  /** The hub's commit, where it came from the hub. */
  readonly revision: string | undefined;
  /** Where the weights lie: a folder, or a GGUF file. */
  readonly folder: string;
  /** Where config and tokenizer files lie. */
  readonly filesFolder: string;
  /** Where the tokenizer's files lie, with the config's or with an adapter. */
  readonly tokenizerFolder: string;
  readonly config: JsonObject;
  readonly architecture: Architecture<unknown>;
  readonly tokenizer: TextTokenizer;
  readonly vocabulary: BaseVocabulary;
  /** Positions that the adapter takes in front of every text. Default 0. */
  readonly virtualTokens?: number;
  /** Jinja text of a chat template that was named instead of the checkpoint's own. */
  readonly chatTemplate?: string | undefined;
  /** sha256 that tells its weights from others'. */
  readonly fingerprint: string;
}

/** By the paths of JSON files: fields, beside those that the file has, or a list in its place. */
export type SavedFields = Readonly<
  Record<string, Readonly<Record<string, unknown>> | readonly unknown[]>
>;

type WithoutBase<E> = E extends TrainEvent ? Omit<E, 'runId' | 'atMs'> : never;
/** An event without what every event has. */
export type EventBody = WithoutBase<TrainEvent>;

export interface OpenBaseOptions {
  readonly resolver: (name: string, options: ResolveModelOptions) => Promise<string>;
  readonly architectures: readonly Architecture<never>[];
  readonly revision?: string | undefined;
  /** Where config and tokenizer files lie, when not with the weights. */
  readonly filesFolder?: string | undefined;
  readonly vocabulary?: VocabularyOptions;
  readonly emit: (event: EventBody) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds a model, downloading what is missing, and reads all but its weights.
 * @throws PEFT_MODEL_FOLDER, PEFT_HUB_…, PEFT_MODEL_TYPE, PEFT_TOKENIZER_MISSING,
 *   PEFT_CHECKPOINT_MISSING, PEFT_SAFETENSORS_…, PEFT_MODEL_CONFIG, PEFT_WEIGHT_SHAPE
 */
export async function openBaseModel(
  reference: string,
  {
    resolver,
    architectures,
    revision,
    filesFolder,
    vocabulary = {},
    emit,
    signal,
  }: OpenBaseOptions,
): Promise<BaseModel> {
  if (revision !== undefined && isGgufFile(reference)) throw revisionOfFolder(reference, revision);
  const folder = isGgufFile(reference)
    ? resolve(reference)
    : await resolver(reference, { revision, signal, onProgress: downloadShown(emit) });
  const files = filesFolder ?? (isGgufFile(folder) ? await ggufFolder(folder) : folder);
  const config = readModelConfig(files);
  const commit = commitOf(folder);
  const architecture = architectureFor(config['model_type'], architectures);
  const fingerprint = withStore(folder, (store) => {
    for (const message of store.warnings ?? [])
      emit({ type: 'run/warned', code: 'PEFT_CHECKPOINT_INDEX', message });
    checkConfigSizes(architecture, config, store);
    return fingerprintOf(store);
  });
  const own = vocabulary.tokenizer ?? vocabulary.adapter;
  const tokenizerFolder = own !== undefined && hasTokenizer(own) ? own : files;
  const tokenizer = loadTokenizer(
    tokenizerFolder,
    tokenizerOptions({ config, vocabulary: { added: vocabulary.added ?? [] } }),
  );
  const opened = openVocabulary(architecture, config, tokenizer, vocabulary);
  const { size, stored } = opened;
  return {
    // the commit stands for a revision in the text
    reference: commit === undefined ? resolve(folder) : reference.replace(/@.*$/, ''),
    folder,
    filesFolder: files,
    revision: commit,
    config: size === stored ? config : withVocabularySize(config, size),
    architecture,
    tokenizerFolder,
    tokenizer,
    vocabulary: opened,
    fingerprint,
  };
}

const tokenizerOptions = ({
  config,
  vocabulary: { added },
}: Pick<BaseModel, 'config'> & {
  readonly vocabulary: Pick<BaseVocabulary, 'added'>;
}): LoadTokenizerOptions => ({ addedTokens: added, modelType: String(config['model_type']) });

/** Tells of each further per cent of a file. */
function downloadShown(
  emit: (event: EventBody) => void,
): NonNullable<ResolveModelOptions['onProgress']> {
  const shown = new Map<string, number>();
  return ({ file, fileDoneBytes, fileTotalBytes }) => {
    const percent = Math.floor((100 * fileDoneBytes) / Math.max(1, fileTotalBytes));
    if (shown.get(file) === percent) return;
    shown.set(file, percent);
    emit({
      type: 'download/progressed',
      file,
      loadedBytes: fileDoneBytes,
      totalBytes: fileTotalBytes,
    });
  };
}

/** Of a folder in the hub's cache, `models--…/snapshots/<commit>`. */
function commitOf(folder: string): string | undefined {
  const isSnapshot =
    basename(dirname(folder)) === 'snapshots' &&
    basename(dirname(dirname(folder))).startsWith('models--');
  return isSnapshot ? basename(folder) : undefined;
}

export function withStore<T>(folder: string, use: (store: TensorStore) => T): T {
  const store = openCheckpoint(folder);
  try {
    return use(store);
  } finally {
    store.close();
  }
}

/** Closes it only where `use` throws. */
function keepingStore<T>(folder: string, use: (store: TensorStore) => T): T {
  const store = openCheckpoint(folder);
  try {
    return use(store);
  } catch (error) {
    store.close();
    throw error;
  }
}

const isList = (value: SavedFields[string]): value is readonly unknown[] => Array.isArray(value);

const CHAT_TEMPLATE_FILE = 'chat_template.jinja';
/** One of the names that weights have in a folder. */
const GGUF_FILE = 'model.gguf';
const PROBED_BYTES = 4096;

/**
 * sha256 over names, types, shapes and the first 4 KiB of each tensor, in the order of the names:
 * quick for any size.
 */
export function fingerprintOf(store: Pick<TensorStore, 'names' | 'get'>): string {
  const hash = createHash('sha256');
  for (const name of store.names().sort()) {
    const source = store.get(name)!;
    hash
      .update(JSON.stringify([name, source.dtype, source.shape]))
      .update(source.read(0, Math.min(PROBED_BYTES, source.byteLength)));
  }
  return hash.digest('hex');
}

/** The model's sites and parameters with a head, without any weights. */
export const describeBase = (
  { architecture, config }: BaseModel,
  head: HeadOptions,
): ModelDescription => describeModel(architecture, architecture.parseConfig(config), head);

/**
 * The model in an engine's hands. The caller disposes.
 * @param options.isStreamed see `loadWeights`: the checkpoint stays open until the model is disposed of.
 */
export function loadBaseModel(
  base: BaseModel,
  engine: Engine,
  options: {
    readonly head: HeadOptions;
    readonly seed: number;
    readonly quantization?: WeightQuantization | undefined;
    /** The blocks that this rank holds. Default: all. */
    readonly stage?: Stage | undefined;
    /** Ranks that share the matrices of the blocks. Default: this one has all of them. */
    readonly shardRanks?: Collective | undefined;
    readonly isStreamed?: boolean | undefined;
    readonly emit: (event: EventBody) => void;
  },
): Model {
  const { size, stored } = base.vocabulary;
  const { isStreamed = false } = options;
  return (isStreamed ? keepingStore : withStore)(base.folder, (store) => {
    let percent = -1;
    const model = loadModel(base.architecture, base.config, store, engine, {
      head: options.head,
      seed: options.seed,
      isStreamed,
      vocabularySize: size === stored ? undefined : size,
      quantization: options.quantization,
      stage: options.stage,
      shardRanks: options.shardRanks,
      reopen: () => openCheckpoint(base.folder),
      onProgress: ({ loadedBytes, totalBytes }) => {
        const now = Math.floor((100 * loadedBytes) / Math.max(1, totalBytes));
        if (now !== percent) options.emit({ type: 'weights/loaded', loadedBytes, totalBytes });
        percent = now;
      },
    });
    for (const message of model.warnings)
      options.emit({ type: 'run/warned', code: 'PEFT_CHECKPOINT', message });
    return model;
  });
}

/**
 * Copies config and tokenizer files into a folder, and the weights where wanted.
 * @param options.fields fields by file that the copies have beside their own; a file that is missing
 *   has them alone.
 * @throws PEFT_PREDICTOR_WRITE when they are gone
 */
export async function copyModelFiles(
  base: BaseModel,
  target: string,
  {
    withWeights,
    fields = {},
  }: {
    readonly withWeights: boolean;
    readonly fields?: SavedFields | undefined;
  },
): Promise<void> {
  const { folder, filesFolder, tokenizerFolder, chatTemplate } = base;
  await mkdir(target, { recursive: true });
  const copy = (from: string, names: Iterable<string>): Promise<void[]> =>
    Promise.all(
      [...new Set(names)].map((name) =>
        copyFile(join(from, name), join(target, name), constants.COPYFILE_FICLONE),
      ),
    );
  const copySmall = async (from: string, kind: ModelFileKind): Promise<void> => {
    const { files, missing } = selectModelFiles(await readdir(from), [kind]);
    if (missing.length)
      throw new PeftError(
        'PEFT_PREDICTOR_WRITE',
        `predictor: ${from} has no ${missing.join(' and ')} any more.`,
        { hint: 'the base model must stay where it is until the predictor is saved' },
      );
    await copy(from, files);
  };
  await copySmall(filesFolder, 'config');
  await copySmall(tokenizerFolder, 'tokenizer');
  // A copy may be a link to the original.
  const replace = async (name: string, text: string): Promise<void> => {
    await rm(join(target, name), { force: true });
    await writeFile(join(target, name), text);
  };
  if (chatTemplate !== undefined) await replace(CHAT_TEMPLATE_FILE, chatTemplate);
  for (const [name, values] of Object.entries(fields)) {
    const own = isList(values) ? undefined : readJsonObject(join(filesFolder, name));
    const whole = isList(values) ? values : { ...own, ...values };
    await mkdir(dirname(join(target, name)), { recursive: true });
    await replace(name, `${JSON.stringify(whole, null, 2)}\n`);
  }
  const { added } = base.vocabulary;
  if (added.length)
    await replace('tokenizer.json', tokenizerWithTokens(tokenizerFolder, tokenizerOptions(base)));
  if (!withWeights) return;
  if (isGgufFile(folder))
    return copyFile(folder, join(target, GGUF_FILE), constants.COPYFILE_FICLONE);
  const { files, index } = selectModelFiles(await readdir(folder), ['weights']);
  const shards =
    index === undefined
      ? []
      : (Object.values(readJsonObject(join(folder, index))?.['weight_map'] ?? {}) as string[]).map(
          (name) => basename(name),
        );
  await copy(folder, [...files, ...shards]);
}
