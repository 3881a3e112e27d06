/**
 * Writes a model's weights into a folder: one file, or shards with an index, named as Hugging Face
 * names them.
 */
import { check, PeftError } from '@peft/errors';
import { STORED_BYTES } from '@peft/ops';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../files/write-file-atomic.js';
import {
  tensorBytes,
  type WritableTensor,
  writeSafetensors,
  type WriteSafetensorsOptions,
} from './write-safetensors.js';

/** How a checkpoint is cut into shards. */
export interface WriteCheckpointOptions extends WriteSafetensorsOptions {
  /**
   * A new shard begins where the data would exceed it; a larger tensor has its own. Default
   * 5,000,000,000.
   */
  readonly maxShardBytes?: number;
}

/**
 * Writes `model.safetensors`, or `model-00001-of-0000N.safetensors` … with
 * `model.safetensors.index.json`. Tensors fill the shards in the order given. Each file appears
 * complete, the index last; weights of an earlier save that are not part of this one are removed at
 * the end.
 *
 * @returns the names of the files written.
 * @throws what `writeSafetensors` throws.
 */
export async function writeCheckpoint(
  folder: string,
  tensors: Iterable<WritableTensor>,
  options: WriteCheckpointOptions = {},
): Promise<string[]> {
  const limit = options.maxShardBytes ?? 5_000_000_000;
  check.positiveInteger('writeCheckpoint', 'maxShardBytes', limit);
  await mkdir(folder, { recursive: true });
  const shards = split(tensors, limit);
  const names =
    shards.length === 1
      ? ['model.safetensors']
      : shards.map((_, i) => `model-${pad(i + 1)}-of-${pad(shards.length)}.safetensors`);
  for (const [i, shard] of shards.entries())
    await writeSafetensors(join(folder, names[i]!), shard, options);
  if (shards.length > 1) {
    await writeFileAtomic(join(folder, indexName), indexOf(shards, names));
    names.push(indexName);
  }
  await removeOthers(folder, names);
  return names;
}

const indexName = 'model.safetensors.index.json';
const pad = (n: number): string => String(n).padStart(5, '0');

function split(tensors: Iterable<WritableTensor>, limit: number): WritableTensor[][] {
  const shards: WritableTensor[][] = [[]];
  const names = new Set<string>();
  let bytes = 0;
  for (const tensor of tensors) {
    if (names.has(tensor.name))
      throw new PeftError(
        'PEFT_SAFETENSORS_DUPLICATE',
        `safetensors: two tensors have the name ${JSON.stringify(tensor.name)}.`,
        { hint: 'Give every tensor its own name.' },
      );
    names.add(tensor.name);
    const size = tensorBytes(tensor);
    if (bytes + size > limit && shards.at(-1)!.length > 0) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(tensor);
    bytes += size;
  }
  return shards;
}

/** Keys sorted and indented as Python writes it. */
function indexOf(shards: readonly WritableTensor[][], names: readonly string[]): string {
  const weightMap: [string, string][] = shards.flatMap((shard, i) =>
    shard.map((tensor): [string, string] => [tensor.name, names[i]!]),
  );
  weightMap.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const all = shards.flat();
  const totalSize = all.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  const totalParameters = all.reduce(
    (sum, tensor) => sum + tensorBytes(tensor) / STORED_BYTES[tensor.dtype],
    0,
  );
  const metadata = { total_parameters: totalParameters, total_size: totalSize };
  const index = { metadata, weight_map: Object.fromEntries(weightMap) };
  return `${JSON.stringify(index, null, 2)}\n`;
}

async function removeOthers(folder: string, kept: readonly string[]): Promise<void> {
  for (const name of await readdir(folder)) {
    const isWeights =
      name === 'model.safetensors' ||
      name === indexName ||
      /^model-\d{5}-of-\d{5}\.safetensors$/.test(name);
    if (isWeights && !kept.includes(name)) await rm(join(folder, name));
  }
}
