/** Opens the weights of a folder, whichever of Hugging Face's layouts they have. */
import { PeftError } from '@peft/errors';
import type { TensorSource } from '@peft/ops';
import { readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openGgufCheckpoint } from '../gguf/gguf-checkpoint.js';
import { storeOf, type TensorStore } from '../tensor-store.js';
import { openTorchFile } from '../torch-file/open-torch-file.js';
import { readCheckpointIndex, shardPaths } from './checkpoint-index.js';
import { openSafetensors } from './open-safetensors.js';

/**
 * Files that hold weights, in order of preference: safetensors before pickles, one file before
 * shards.
 */
export const WEIGHT_FILES = Object.freeze([
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  'model.gguf',
] as const);

/** The same for an adapter's folder, PEFT's names before adapter-hub's. */
export const ADAPTER_WEIGHT_FILES = Object.freeze([
  'adapter_model.safetensors',
  'adapter_model.bin',
  'adapter.safetensors',
  'pytorch_adapter.bin',
] as const);

/**
 * Opens a checkpoint: a folder with one of `WEIGHT_FILES` or `ADAPTER_WEIGHT_FILES` (the first that
 * is there), or one file (`.safetensors`, `.index.json`, `.gguf`, else a torch file).
 *
 * @returns a store over all shards; the caller closes it.
 * @throws PEFT_CHECKPOINT_MISSING the folder or its weights are missing.
 * @throws PEFT_SAFETENSORS_INDEX, PEFT_SAFETENSORS_SHARD_MISSING a shard is missing or does not
 *   hold what the index says.
 * @throws what `openSafetensors` and `openTorchFile` throw.
 */
export function openCheckpoint(path: string): TensorStore {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat)
    throw new PeftError(
      'PEFT_CHECKPOINT_MISSING',
      `hub: there is no checkpoint at ${resolve(path)}.`,
      { hint: 'Check the path.' },
    );
  if (!stat.isDirectory()) return openWeightFile(path);
  const names = new Set(readdirSync(path));
  const weights = [...WEIGHT_FILES, ...ADAPTER_WEIGHT_FILES].find((name) => names.has(name));
  if (weights) return openWeightFile(join(path, weights));
  const others = [...names].filter((name) =>
    /\.(safetensors|bin|pt|pth|h5|msgpack|gguf|onnx)$/.test(name),
  );
  throw new PeftError(
    'PEFT_CHECKPOINT_MISSING',
    `hub: ${resolve(path)} holds no weights${others.length ? `, only ${others.slice(0, 5).join(', ')}` : ''}.`,
    { hint: `Expected one of ${[...WEIGHT_FILES, ...ADAPTER_WEIGHT_FILES].join(', ')}.` },
  );
}

function openWeightFile(path: string): TensorStore {
  if (path.endsWith('.index.json')) return openShards(path);
  if (path.endsWith('.gguf')) return openGgufCheckpoint(path);
  return path.endsWith('.safetensors') ? openSafetensors(path) : openTorchFile(path);
}

/**
 * Every shard must hold the tensors that the index places there. One that the index does not list
 * is taken as transformers takes it, and the store warns of it.
 */
function openShards(indexPath: string): TensorStore {
  const index = readCheckpointIndex(indexPath);
  const opened = new Map<string, TensorStore>();
  const close = () => opened.forEach((store) => store.close());
  try {
    for (const [shard, path] of shardPaths(index)) opened.set(shard, openWeightFile(path));
    const sources = new Map<string, TensorSource>();
    const unlisted: string[] = [];
    for (const [shard, store] of opened) {
      for (const name of store.names()) {
        const listed = index.weightMap.get(name);
        if (listed === undefined) unlisted.push(name);
        if ((listed ?? shard) !== shard)
          throw indexError(
            indexPath,
            `tensor ${JSON.stringify(name)} is in ${shard}, the index places it in ${listed}`,
          );
        if (sources.has(name))
          throw indexError(indexPath, `tensor ${JSON.stringify(name)} is in two shards`);
        sources.set(name, store.get(name)!);
      }
    }
    for (const [name, shard] of index.weightMap) {
      if (!sources.has(name))
        throw indexError(
          indexPath,
          `the index places tensor ${JSON.stringify(name)} in ${shard}, which does not hold it`,
        );
    }
    const { metadata } = opened.values().next().value!;
    return storeOf(sources, metadata, close, unlistedWarnings(indexPath, unlisted));
  } catch (error) {
    close();
    throw error;
  }
}

const unlistedWarnings = (path: string, names: readonly string[]): string[] =>
  names.length === 0
    ? []
    : [
        `${resolve(path)} does not list ${names.length} tensors of its shards, which are ` +
          `read nevertheless: ${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}.`,
      ];

const indexError = (path: string, problem: string) =>
  new PeftError('PEFT_SAFETENSORS_INDEX', `safetensors: ${resolve(path)}: ${problem}.`, {
    hint: 'The index and the shards are not of one checkpoint; fetch them again.',
  });
