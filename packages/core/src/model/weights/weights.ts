/**
 * The base weights of a model: read once from a store, frozen by the engine or kept as small
 * tensors.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import {
  decodeFloat32,
  freezeTensor,
  hasDeviceMemory,
  memorySource,
  randomKey,
  type Engine,
  type FreezeOptions,
  type FrozenWeight,
  type TensorSource,
} from '@peft/ops';
import type { ModelDescription, ParameterSpec } from '../../description/model-description.js';
import { convertedWeights, type WeightQuantization } from '../../description/quantizable.js';
import type { Collective } from '../../app/collective.js';
import { ShardLoading } from '../shards/shard-loading.js';
import type { ShardedBlocks } from '../shards/sharded-blocks.js';
import { bytesOfFloats, bytesOfParts, type SharedBytes } from '../shards/shared-bytes.js';
import { ShardedWeight } from '../shards/sharded-weight.js';
import type { Stage } from '../stage/stage.js';
import { stageParameters } from '../stage/stage-parameters.js';
import {
  requireComplete,
  requireShapes,
  storedBytes,
  storedParameters,
  storedShape,
  type StoredParameter,
} from './stored-parameters.js';
import { streamedEngine } from './streamed-engine.js';
import type { WeightStore } from './weight-store.js';

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
  /**
   * Matrices stay where they are stored, and each use reads what it needs: for a model that is used
   * a few times and shall take little memory. The store must stay open; it is closed with the
   * weights. Default false.
   */
  readonly isStreamed?: boolean;
  /** Seed of parameters that the checkpoint lacks (a fresh head). Default 0. */
  readonly seed?: number;
  /** Read what this stage needs and leave the rest of the matrices and tables where they are. */
  readonly stage?: Stage;
  /**
   * Keep a part of each block's matrices, as large as that of every other of these ranks; train and
   * predict of `@peft/trainer` gather a block while it computes. Default: all of them.
   */
  readonly shardRanks?: Collective;
  /**
   * Opens the store again, for values that lie elsewhere and that an adapter asks for while it is
   * attached.
   * Default: there are none.
   */
  readonly reopen?: () => WeightStore & { close?(): void };
  readonly onProgress?: (progress: {
    readonly name: string;
    readonly loadedBytes: number;
    readonly totalBytes: number;
  }) => void;
}

/** The base's parameters by name, as the engine holds them. They are owned here until `dispose`. */
export interface ModelWeights {
  /** @throws PEFT_WEIGHT_ELSEWHERE for one that lies on another stage */
  get(name: string): FrozenWeight | Tensor;
  /** Whether it lies here, and whole. Default: all do. */
  holds?(name: string): boolean;
  /**
   * A weight that does not lie here, read from its store again as it is there; the caller disposes.
   * @throws PEFT_WEIGHT_ELSEWHERE where the store cannot be opened again
   */
  borrow?(name: string): FrozenWeight | Tensor;
  /** The blocks of which this rank keeps a part, where ranks share them. */
  readonly shards?: ShardedBlocks;
  /** A matrix of those blocks, which computes while its block is gathered. */
  shared?(name: string): ShardedWeight | undefined;
  /** What matrices were quantised or rounded to while they were loaded. Default: they were not. */
  readonly quantization?: WeightQuantization | undefined;
  /** Parameters that the store lacked and that were made fresh. */
  readonly fresh: readonly string[];
  readonly byteLength: number;
  /**
   * Values of a small tensor as they were read, where the engine's memory is a device's and the
   * tensor cannot be read at once.
   */
  hostValues?(name: string): Float32Array | undefined;
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
  target: Engine,
  options: LoadWeightsOptions = {},
): ModelWeights {
  const { stage } = options;
  const held = stage && stageParameters(description, stage);
  const quantizable = options.quantization
    ? convertedWeights(description, options.quantization)
    : new Set<string>();
  const engine = options.isStreamed ? streamedEngine(target) : target;
  const sharding = options.shardRanks && new ShardLoading(description, engine, options.shardRanks);
  const loaded = new Map<string, FrozenWeight | Tensor>();
  const fresh: string[] = [];
  const onHost = hasDeviceMemory(engine) ? new Map<string, Float32Array>() : undefined;
  const dispose = () => {
    for (const weight of loaded.values()) weight.dispose();
    loaded.clear();
  };
  try {
    const stored = storedParameters(description, store, {
      isResized: options.vocabularySize !== undefined,
    });
    requireComplete(description, store, stored);
    requireShapes(description, stored);
    const own = stage
      ? description.parameters.filter(({ name }) => held!.has(name))
      : description.parameters;
    const totalBytes = own.reduce((sum, { name }) => sum + storedBytes(stored.get(name)), 0);
    let loadedBytes = 0;
    for (const spec of description.parameters) {
      const found = stored.get(spec.name);
      if (!found) fresh.push(spec.name);
      if (held && !held.has(spec.name)) continue;
      loaded.set(
        spec.name,
        sharding?.isShared(spec.name)
          ? sharding.add(spec.name, sharedBytes(spec, found, engine, options, quantizable))
          : frozen(spec, found, engine, options, quantizable, onHost),
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
  const specOf = (name: string): ParameterSpec =>
    description.parameters.find((spec) => spec.name === name) ?? unknownWeight(name);
  const release = () => {
    dispose();
    if (options.isStreamed) store.close?.();
  };
  return {
    quantization: options.quantization,
    fresh,
    byteLength,
    dispose: release,
    hostValues: onHost && ((name) => onHost.get(name)),
    shards: sharding?.finish(),
    shared: (name) => {
      const found = loaded.get(name);
      return found instanceof ShardedWeight ? found : undefined;
    },
    holds: (name) => {
      const found = loaded.get(name);
      return found !== undefined && !(found instanceof ShardedWeight);
    },
    get: (name) => {
      const found = loaded.get(name);
      if (found) return found;
      specOf(name);
      throw elsewhere(name, 'its value was asked for');
    },
    borrow: (name) => {
      const spec = specOf(name);
      if (!options.reopen) throw elsewhere(name, 'it can not be read again');
      const again = options.reopen();
      try {
        const stored = storedParameters({ ...description, parameters: [spec] }, again, {
          isResized: options.vocabularySize !== undefined,
        });
        return frozen(spec, stored.get(name), engine, options, quantizable, undefined);
      } finally {
        again.close?.();
      }
    },
  };
}

/** As the engine holds it. */
function frozen(
  spec: ParameterSpec,
  found: StoredParameter | undefined,
  engine: Engine,
  { seed = 0, quantization }: LoadWeightsOptions,
  quantizable: ReadonlySet<string>,
  onHost: Map<string, Float32Array> | undefined,
): FrozenWeight | Tensor {
  // in its logical order, also where the plain checkpoint stores [in, out]: bitsandbytes turns it before
  if (found?.quantized) return engine.freezeQuantized(found.quantized.read());
  return freezeOne(
    spec,
    found?.source ?? freshSource(spec, seed),
    engine,
    quantizable.has(spec.name) ? quantization : undefined,
    onHost,
  );
}

/** The same, of a matrix that ranks share. */
function sharedBytes(
  spec: ParameterSpec,
  found: StoredParameter | undefined,
  engine: Engine,
  { seed = 0, quantization }: LoadWeightsOptions,
  quantizable: ReadonlySet<string>,
): SharedBytes {
  if (found?.quantized) return bytesOfParts(found.quantized.read());
  const source = found?.source ?? freshSource(spec, seed);
  const transposed = spec.transposed ?? false;
  if (!quantization || !quantizable.has(spec.name)) return bytesOfFloats(source, transposed);
  const { format } = quantization;
  if (format === 'f16' || format === 'bf16') return bytesOfFloats(source, transposed, format);
  const weight = engine.freeze(source, { transposed, ...freezeOptions(quantization) });
  try {
    return bytesOfParts(engine.quantizedParts(weight));
  } finally {
    weight.dispose();
  }
}

function freezeOne(
  spec: ParameterSpec,
  source: TensorSource,
  engine: Engine,
  quantization: WeightQuantization | undefined,
  onHost: Map<string, Float32Array> | undefined,
): FrozenWeight | Tensor {
  if (spec.use === 'vector') {
    const values = Float32Array.from(decodeFloat32(source.read(), source.dtype));
    onHost?.set(spec.name, values);
    return freezeTensor(tf.tensor(values, [...spec.shape], 'float32'));
  }
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

function freshSource(spec: ParameterSpec, seed: number): TensorSource {
  return memorySource(
    spec.name,
    storedShape(spec),
    spec.init!(spec.shape, randomKey(seed, 'base', spec.name)),
  );
}

const elsewhere = (name: string, what: string): PeftError =>
  new PeftError('PEFT_WEIGHT_ELSEWHERE', `${name} lies on another stage of the model: ${what}.`, {
    hint: 'load the whole model: leave out --pipeline, or the stage of loadModel',
  });

function unknownWeight(name: string): never {
  throw new PeftError('PEFT_PARAMETER_UNKNOWN', `the model has no parameter "${name}".`);
}
