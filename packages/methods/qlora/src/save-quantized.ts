/**
 * Writes a quantised model as transformers and bitsandbytes do, so that Python loads it without
 * quantising again.
 */
import type { Tensor } from '@tensorflow/tfjs';
import { join } from 'node:path';
import { quantizableWeights, type Model, type ParameterSpec } from '@peft/core';
import { PeftError } from '@peft/errors';
import {
  bitsAndBytesConfigJson,
  quantizedTensors,
  writeCheckpoint,
  writeFileAtomic,
  type BitsAndBytesConfig,
  type NewTensor,
} from '@peft/hub';
import type { FrozenWeight, StoredDtype } from '@peft/ops';

/** How a quantised checkpoint is written. */
export interface SaveQuantizedOptions {
  /** See `writeCheckpoint` of @peft/hub. */
  readonly maxShardBytes?: number;
}

const STORED = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' } as const;
const MATRIX: Partial<Record<FrozenWeight['format'], StoredDtype>> = {
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
};

/**
 * Writes the base weights (adapters are saved beside them with `saveAdapter`) and config.json with
 * `quantization_config` into a folder. Tokeniser files are the caller's to copy. One tensor at a
 * time is in memory.
 *
 * Vectors are written in config.json's dtype, matrices that are not quantised in the one they are
 * held in.
 *
 * @returns the names of the files written.
 * @throws PEFT_NOT_QUANTIZED when the model has no quantised weight, or has them in several
 *   formats; PEFT_ADAPTER_MERGED while adapters are merged, since their weights are float32; what
 *   `writeCheckpoint` throws.
 */
export async function saveQuantized(
  model: Model,
  folder: string,
  options: SaveQuantizedOptions = {},
): Promise<string[]> {
  if (model.mergedAdapters.length)
    throw new PeftError(
      'PEFT_ADAPTER_MERGED',
      `saveQuantized: ${model.mergedAdapters.join(', ')} is merged, and merged weights are not quantised.`,
      { hint: 'call unmergeAdapters() first, and saveAdapter() to keep the adapter' },
    );
  const config = describeQuantization(model);
  const dtype = dtypeOf(model.configJson);
  const files = await writeCheckpoint(
    folder,
    model.description.parameters.flatMap((spec) => tensorsOf(model, spec, dtype)),
    options,
  );
  const json = {
    ...model.configJson,
    quantization_config: bitsAndBytesConfigJson(config, dtype === 'float16' ? 'float32' : dtype),
  };
  await writeFileAtomic(
    join(folder, 'config.json'),
    `${JSON.stringify(sortKeys(json), null, 2)}\n`,
  );
  return [...files, 'config.json'];
}

/** What bitsandbytes has to be told so that it finds the model as it is. */
function describeQuantization({ description, weights }: Model): BitsAndBytesConfig {
  const quantized = new Map(
    description.parameters.flatMap(({ name }) => {
      const weight = weights.get(name);
      return isQuantized(weight) ? [[name, weight]] : [];
    }),
  );
  const formats = [...new Set([...quantized.values()].map(({ format }) => format))];
  const [format] = formats;
  if (formats.length !== 1)
    throw new PeftError(
      'PEFT_NOT_QUANTIZED',
      formats.length
        ? `saveQuantized: the weights are stored as ${formats.join(' and ')}, ` +
            'a checkpoint can have one format.'
        : 'saveQuantized: no weight of the model is quantised.',
      { hint: 'load the model with quantizedBase({ format: "nf4" })' },
    );
  const [first] = quantized.values();
  const isUsual = [...quantizableWeights(description)].every((name) => quantized.has(name));
  const plain = description.sites.flatMap((site) =>
    site.kind === 'linear' && !quantized.has(site.weight) ? [site.path] : [],
  );
  return {
    format: format as BitsAndBytesConfig['format'],
    doubleQuantization: !(first!.engine.quantizedParts(first!).absmax instanceof Float32Array),
    skipModules: isUsual ? [] : plain,
  };
}

function tensorsOf(model: Model, spec: ParameterSpec, dtype: keyof typeof STORED): NewTensor[] {
  const weight = model.weights.get(spec.name);
  if (isQuantized(weight)) {
    const read = () => ({ ...weight.engine.quantizedParts(weight), name: spec.name });
    return quantizedTensors(read(), dtype, read);
  }
  const shape = spec.transposed ? [...spec.shape].reverse() : spec.shape;
  const stored = isFrozen(weight) ? MATRIX[weight.format]! : STORED[dtype];
  return [{ name: spec.name, dtype: stored, shape, data: () => valuesOf(model, spec) }];
}

const isQuantized = (weight: FrozenWeight | Tensor): weight is FrozenWeight =>
  isFrozen(weight) && MATRIX[weight.format] === undefined;
const isFrozen = (weight: FrozenWeight | Tensor): weight is FrozenWeight => 'engine' in weight;

/** In the order in which files hold them. */
function valuesOf(model: Model, { name, transposed }: ParameterSpec): Float32Array {
  const tensor = model.readBaseParameter(name);
  const stored = transposed ? tensor.transpose() : tensor;
  const values = Float32Array.from(stored.dataSync()); // once per tensor, to be written
  if (stored !== tensor) stored.dispose();
  tensor.dispose();
  return values;
}

function dtypeOf(config: Readonly<Record<string, unknown>>): keyof typeof STORED {
  const named = config['dtype'] ?? config['torch_dtype'];
  return typeof named === 'string' && named in STORED ? (named as keyof typeof STORED) : 'float32';
}

function sortKeys(json: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(json).sort(([a], [b]) => (a < b ? -1 : 1)));
}
