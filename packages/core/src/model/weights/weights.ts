/**
 * The base weights of a model: read once from a store, frozen by the engine or kept as small
 * tensors.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import type { QuantizedSource } from '@peft/hub';
import {
  decodeFloat32,
  freezeTensor,
  memorySource,
  randomKey,
  type Engine,
  type FreezeOptions,
  type FrozenWeight,
  type TensorSource,
} from '@peft/ops';
import type { ModelDescription, ParameterSpec } from '../../description/model-description.js';
import type { TensorPiece } from '../../description/tensor-entry.js';
import { joinedSource, sliceOf } from './joined-source.js';
import { vocabularyParameters } from '../../description/vocabulary.js';
import { resizedRows } from './resized-rows.js';
import { convertedWeights, type WeightQuantization } from '../../description/quantizable.js';

/** Stored tensors by name: a checkpoint, or values in memory. */
export interface WeightStore {
  names(): Iterable<string>;
  get(name: string): TensorSource | undefined;
  /**
   * The tensor where it is stored quantised; `get` then gives nothing of use. See `quantizedStore`
   * of @peft/hub.
   */
  quantized?(name: string): QuantizedSource | undefined;
}

/** How the base's weights are read. */
export interface LoadWeightsOptions {
  /**
   * Quantise or round matrices while loading. Those that the checkpoint stores quantised stay as
   * they are.
   */
  readonly quantization?: WeightQuantization;
  /**
   * Tokens that the model is to have, where the checkpoint's tables have fewer rows (new ones start
   * at the mean of the others) or more. Default: as many as the checkpoint.
   */
  readonly vocabularySize?: number;
  /** Seed of parameters that the checkpoint lacks (a fresh head). Default 0. */
  readonly seed?: number;
  readonly onProgress?: (progress: {
    readonly name: string;
    readonly loadedBytes: number;
    readonly totalBytes: number;
  }) => void;
}

export interface ModelWeights {
  get(name: string): FrozenWeight | Tensor;
  /** Parameters that the store lacked and that were made fresh. */
  readonly fresh: readonly string[];
  readonly byteLength: number;
  dispose(): void;
}

export const isFrozen = (weight: FrozenWeight | Tensor): weight is FrozenWeight =>
  'engine' in weight;

/**
 * Reads every parameter of the description, tensor by tensor: at the peak there is the result plus
 * one tensor.
 * @throws PEFT_WEIGHT_MISSING, PEFT_WEIGHT_SHAPE; nothing stays allocated then.
 */
export function loadWeights(
  description: ModelDescription,
  store: WeightStore,
  engine: Engine,
  options: LoadWeightsOptions = {},
): ModelWeights {
  const loaded = new Map<string, FrozenWeight | Tensor>();
  const fresh: string[] = [];
  const dispose = () => {
    for (const weight of loaded.values()) weight.dispose();
    loaded.clear();
  };
  try {
    const resized =
      options.vocabularySize === undefined ? new Set<string>() : vocabularyParameters(description);
    const find = (spec: ParameterSpec): Found | undefined =>
      findName(spec, description, store, resized.has(spec.name));
    const missing = description.parameters.filter((spec) => !spec.init && !find(spec));
    if (missing.length) throw missingWeights(description, missing, store);
    const quantizable = options.quantization
      ? convertedWeights(description, options.quantization)
      : new Set<string>();
    const totalBytes = description.parameters.reduce(
      (sum, spec) => sum + storedBytes(find(spec)),
      0,
    );
    let loadedBytes = 0;
    for (const spec of description.parameters) {
      const found = find(spec);
      if (!found) fresh.push(spec.name);
      loaded.set(
        spec.name,
        found?.quantized
          ? freezeQuantized(spec, found.quantized, engine)
          : freezeOne(
              spec,
              found?.source ?? freshSource(spec, options.seed ?? 0),
              engine,
              quantizable.has(spec.name) ? options.quantization : undefined,
            ),
      );
      loadedBytes += storedBytes(found);
      options.onProgress?.({ name: spec.name, loadedBytes, totalBytes });
    }
  } catch (error) {
    dispose();
    throw error;
  }
  let byteLength = 0;
  for (const weight of loaded.values())
    byteLength += isFrozen(weight) ? weight.byteLength : weight.size * 4;
  return { fresh, byteLength, dispose, get: (name) => loaded.get(name) ?? unknownWeight(name) };
}

function freezeOne(
  spec: ParameterSpec,
  source: TensorSource,
  engine: Engine,
  quantization: WeightQuantization | undefined,
): FrozenWeight | Tensor {
  checkShape(source, storedShape(spec));
  if (spec.use === 'vector')
    return freezeTensor(
      tf.tensor(
        Float32Array.from(decodeFloat32(source.read(), source.dtype)),
        [...spec.shape],
        'float32',
      ),
    );
  return engine.freeze(source, {
    transposed: spec.transposed,
    ...(quantization && freezeOptions(quantization)),
  });
}

const freezeOptions = ({
  format,
  blockSize,
  doubleQuantization,
}: WeightQuantization): FreezeOptions => ({ format, blockSize, doubleQuantization });

/**
 * In its logical order, also where the plain checkpoint stores `[in, out]`: bitsandbytes turns it
 * before.
 */
function freezeQuantized(
  spec: ParameterSpec,
  source: QuantizedSource,
  engine: Engine,
): FrozenWeight {
  checkShape(source, spec.shape);
  return engine.freezeQuantized(source.read());
}

const storedShape = ({ shape, transposed }: ParameterSpec): readonly number[] =>
  transposed ? [...shape].reverse() : shape;

const hasShape = ({ shape }: Pick<TensorSource, 'shape'>, expected: readonly number[]): boolean =>
  shape.length === expected.length && shape.every((size, i) => size === expected[i]);

function checkShape(
  { name, shape }: Pick<TensorSource, 'name' | 'shape'>,
  expected: readonly number[],
): void {
  if (hasShape({ shape }, expected)) return;
  throw new PeftError(
    'PEFT_WEIGHT_SHAPE',
    `${name}: the checkpoint holds [${shape.join(', ')}], the config asks for [${expected.join(', ')}].`,
    { hint: 'config.json and the weights are not of the same model' },
  );
}

interface Found {
  readonly source?: TensorSource;
  readonly quantized?: QuantizedSource;
}

const storedBytes = (found: Found | undefined): number =>
  (found?.quantized ?? found?.source)?.byteLength ?? 0;

/** The checkpoint may carry the class prefix (`bert.`) or lack it. */
function findName(
  spec: ParameterSpec,
  description: ModelDescription,
  store: WeightStore,
  isResized: boolean,
): Found | undefined {
  for (const name of [spec.name, ...(spec.aliases ?? [])]) {
    for (const variant of variantsOf(name, description)) {
      const quantized = spec.use === 'vector' ? undefined : store.quantized?.(variant);
      if (quantized) {
        if (isResized && !hasShape(quantized, spec.shape)) throw quantizedVocabulary(variant);
        return { quantized };
      }
      const stored = store.get(variant);
      const source = stored && isResized ? withRows(stored, spec.shape) : stored;
      // a head of another model's task may have other classes: then this one is made fresh
      if (source && !(spec.init && name !== spec.name && !hasShape(source, storedShape(spec))))
        return { source };
    }
  }
  for (const pieces of spec.pieces ?? []) {
    const sources = pieces.map((piece) => findPiece(piece, description, store));
    if (sources.every((source) => source !== undefined))
      return { source: joinedSource(spec.name, sources) };
  }
  return undefined;
}

function findPiece(
  { name, index }: TensorPiece,
  description: ModelDescription,
  store: WeightStore,
): TensorSource | undefined {
  const source = variantsOf(name, description)
    .map((variant) => store.get(variant))
    .find((found) => found !== undefined);
  return source && index !== undefined ? sliceOf(source, index) : source;
}

const variantsOf = (name: string, { basePrefix: prefix }: ModelDescription): string[] => [
  name,
  ...(prefix
    ? [name.startsWith(`${prefix}.`) ? name.slice(prefix.length + 1) : `${prefix}.${name}`]
    : []),
];

/** With as many rows as the shape; as it is where it differs elsewhere, too. */
function withRows(source: TensorSource, shape: readonly number[]): TensorSource {
  const [rows, ...width] = shape;
  const isOther = hasShape({ shape: source.shape.slice(1) }, width) && source.shape[0] !== rows;
  return isOther && source.shape[0]! > 0 ? resizedRows(source, rows!) : source;
}

function freshSource(spec: ParameterSpec, seed: number): TensorSource {
  return memorySource(
    spec.name,
    storedShape(spec),
    spec.init!(spec.shape, randomKey(seed, 'base', spec.name)),
  );
}

function missingWeights(
  description: ModelDescription,
  missing: readonly ParameterSpec[],
  store: WeightStore,
): PeftError {
  const names = missing
    .slice(0, 5)
    .map(({ name }) => name)
    .join(', ');
  const has = [...store.names()].slice(0, 3).join(', ');
  return new PeftError(
    'PEFT_WEIGHT_MISSING',
    `${description.modelType}: the checkpoint lacks ${missing.length} of ` +
      `${description.parameters.length} tensors: ${names}${missing.length > 5 ? ' …' : ''}.`,
    {
      hint: `it has names such as ${has || '(none)'}; config.json and the weights are probably not of the same model`,
    },
  );
}

const quantizedVocabulary = (name: string): PeftError =>
  new PeftError(
    'PEFT_WEIGHT_SHAPE',
    `${name}: it is stored quantised, so that its vocabulary cannot grow or shrink.`,
    { hint: 'take the unquantised checkpoint, and quantise while it is read' },
  );

function unknownWeight(name: string): never {
  throw new PeftError('PEFT_PARAMETER_UNKNOWN', `the model has no parameter "${name}".`);
}
