/** Which files of a folder belong on the hub, and which only lie beside them. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { PeftError, show } from '@peft/errors';

/** A file that goes to the hub. */
export interface FileToPush {
  /** In the repository, with `/` between folders. */
  readonly path: string;
  /** On this machine. */
  readonly place: string;
  readonly bytes: number;
}

export interface SelectedForPush {
  /** The folder whose files these are: the adapter's of one that fit saved. */
  readonly folder: string;
  readonly files: readonly FileToPush[];
  /** Files and folders (with a `/` at the end) that stay. */
  readonly leftOut: readonly string[];
}

/** What tools of Hugging Face, llama.cpp, Ollama, MLX and transformers.js look for. */
const MODEL_FILES: readonly RegExp[] = [
  /^(config|generation_config|adapter_config|head_config|quantize_config)\.json$/,
  /^(preprocessor_config|processor_config|quantization_config)\.json$/,
  /^(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$/,
  /^(vocab|merges)\.txt$/,
  /^chat_template\.(jinja|json)$/,
  /^(spm|spiece|sentencepiece\.bpe|tokenizer)\.model$/,
  /\.safetensors(\.index\.json)?$/,
  /^(pytorch_model|adapter_model|pytorch_adapter|pytorch_model_head).*\.bin(\.index\.json)?$/,
  /\.gguf$/,
  /^Modelfile$/,
  /^onnx\/[^/]+\.onnx(_data(_\d+)?)?$/,
  /^(README|LICENSE|NOTICE)(\.md|\.txt)?$/,
];

/**
 * The files of a model, of an adapter, or of the adapter in a folder that fit saved; or one file of
 * weights, for instance a GGUF file. Whatever else
 * lies there (checkpoints, events, logs, links) stays unless `include` names it.
 *
 * @param include paths of further files and folders within the folder.
 * @throws PEFT_PUSH_FOLDER there is no such folder or no model in it, or an adapter that is nothing
 *   without another
 * @throws PEFT_PUSH_INCLUDE nothing there has the name
 */
export function filesToPush(path: string, include: readonly string[] = []): SelectedForPush {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() && include.length === 0 && isWeights(path)) return oneFile(path, stat.size);
  if (!stat?.isDirectory())
    throw new PeftError(
      'PEFT_PUSH_FOLDER',
      `push: there is no folder or file of weights ${path}.`,
      {
        hint: 'give what fit saved, or what peft export or peft merge wrote',
      },
    );
  const isSaved = existsSync(join(path, 'predictor.json'));
  if (isSaved && existsSync(join(path, 'base-adapter')))
    throw new PeftError(
      'PEFT_PUSH_FOLDER',
      `push: the adapter in ${path} stands on another (base-adapter) and is nothing without it.`,
      { hint: `merge them: peft merge ${path} -o MERGED, and push MERGED` },
    );
  const folder = resolve(isSaved ? join(path, 'adapter') : path);
  const there = plainFiles(folder);
  const asked = include.map((name) => namedIn(folder, name, there.files));
  const isAsked = (file: string): boolean =>
    asked.some((name) => file === name || file.startsWith(`${name}/`));
  const isOfModel = (file: string): boolean => MODEL_FILES.some((kind) => kind.test(file));
  const chosen = there.files.filter((file) => isOfModel(file) || isAsked(file));
  if (!chosen.some(isWeights))
    throw new PeftError('PEFT_PUSH_FOLDER', `push: ${folder} holds no weights.`, {
      hint: 'give what fit saved, or what peft export or peft merge wrote',
    });
  const left = there.files.filter((file) => !chosen.includes(file));
  return {
    folder,
    files: chosen.map((file) => {
      const place = join(folder, file);
      return { path: file, place, bytes: statSync(place).size };
    }),
    leftOut: [...foldersFirst(left, chosen), ...there.others],
  };
}

const isWeights = (file: string): boolean => /\.(safetensors|bin|gguf|onnx)$/.test(file);

/** A model that is one file. */
const oneFile = (path: string, bytes: number): SelectedForPush => ({
  folder: dirname(resolve(path)),
  files: [{ path: basename(path), place: resolve(path), bytes }],
  leftOut: [],
});

/** Ordinary files below a folder, and what is none (links, pipes), by paths with `/`. */
function plainFiles(folder: string): { readonly files: string[]; readonly others: string[] } {
  const files: string[] = [];
  const others: string[] = [];
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
      .slice(folder.length + 1)
      .split(sep)
      .join('/');
    if (entry.isFile()) files.push(path);
    else if (!entry.isDirectory()) others.push(path);
  }
  return { files: files.sort(), others: others.sort() };
}

/** @throws PEFT_PUSH_INCLUDE */
function namedIn(folder: string, name: string, files: readonly string[]): string {
  const path = name.split(sep).join('/').replace(/^\.\//, '').replace(/\/+$/, '');
  if (files.some((file) => file === path || file.startsWith(`${path}/`))) return path;
  throw new PeftError('PEFT_PUSH_INCLUDE', `push: ${folder} has no file ${show(name)}.`, {
    hint: 'name a file or folder within it; links are not followed',
  });
}

/** `checkpoints/` for all files of a folder that nothing is sent from. */
function foldersFirst(left: readonly string[], chosen: readonly string[]): string[] {
  const names = left.map((file) => {
    const [top, ...below] = file.split('/');
    const isWhole = below.length > 0 && !chosen.some((sent) => sent.startsWith(`${top}/`));
    return isWhole ? `${top}/` : file;
  });
  return [...new Set(names)];
}
