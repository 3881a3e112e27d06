/** `*.index.json` of a sharded checkpoint: which file holds which tensor. */
import { PeftError } from '@peft/errors';
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseStrictJson, StrictJsonError } from '../files/strict-json.js';

/** An index over this many bytes is refused unread. */
const MAX_INDEX_BYTES = 100_000_000;

export interface CheckpointIndex {
  /** Absolute path of the index file. */
  readonly path: string;
  /** Tensor name → file name in the index's folder. */
  readonly weightMap: ReadonlyMap<string, string>;
  /** Each file once, in the order of their names. */
  readonly shards: readonly string[];
}

/**
 * Reads and checks an index: a JSON object whose `weight_map` maps tensor names to plain file
 * names. A name with a folder, `..` or an absolute path is refused, so that an index cannot point
 * out of its folder.
 *
 * @throws PEFT_SAFETENSORS_INDEX the index is no such object or names a path.
 */
export function readCheckpointIndex(path: string): CheckpointIndex {
  const fail = (problem: string, cause?: unknown) =>
    new PeftError('PEFT_SAFETENSORS_INDEX', `safetensors: ${path}: ${problem}.`, {
      hint: 'Fetch the index and the files it names again.',
      cause,
    });
  const size = statSync(path).size;
  if (size > MAX_INDEX_BYTES)
    throw fail(`the index has ${size} bytes, over the limit of ${MAX_INDEX_BYTES}`);
  let index: unknown;
  try {
    index = parseStrictJson(readFileSync(path));
  } catch (cause) {
    if (cause instanceof StrictJsonError)
      throw fail(`the index is no JSON: ${cause.message}`, cause);
    throw cause;
  }
  const map = isObject(index) ? (index as { weight_map?: unknown }).weight_map : undefined;
  if (!isObject(map)) throw fail('the index has no "weight_map" object');
  const weightMap = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    if (!isPlainFileName(shard))
      throw fail(
        `tensor ${JSON.stringify(name)} is said to lie in ${JSON.stringify(shard) ?? shard}, ` +
          'which is no plain file name',
      );
    weightMap.set(name, shard);
  }
  if (weightMap.size === 0) throw fail('the "weight_map" is empty');
  return { path, weightMap, shards: [...new Set(weightMap.values())].sort() };
}

/**
 * The index's shards as paths.
 * @throws PEFT_SAFETENSORS_SHARD_MISSING naming those that are not there.
 */
export function shardPaths(index: CheckpointIndex): Map<string, string> {
  const folder = dirname(index.path);
  const paths = new Map(index.shards.map((shard) => [shard, join(folder, shard)]));
  const missing = [...paths]
    .filter(([, path]) => statSync(path, { throwIfNoEntry: false })?.isFile() !== true)
    .map(([shard]) => shard);
  if (missing.length > 0) {
    throw new PeftError(
      'PEFT_SAFETENSORS_SHARD_MISSING',
      `safetensors: ${index.path} names ${missing.length} of ${paths.size} files that are ` +
        `not in the folder: ${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ', …' : ''}.`,
      { hint: 'Fetch the missing files; an interrupted download goes on where it stopped.' },
    );
  }
  return paths;
}

/** A name that stays in its folder on every system. */
export function isPlainFileName(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    name.length > 0 &&
    name.length <= 255 &&
    name !== '.' &&
    name !== '..' &&
    !/[/\\:\0]/.test(name)
  );
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
