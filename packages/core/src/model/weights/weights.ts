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
import {
  requireComplete,
  requireShapes,
  storedBytes,
  storedParameters,
  storedShape,
} from './stored-parameters.js';
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
  /** Seed of parameters that the checkpoint lacks (a fresh head). Default 0. */
  readonly seed?: number;
  readonly onProgress?: (progress: {
    readonly name: string;
    readonly loadedBytes: number;
    readonly totalBytes: number;
  }) => void;
}

/** The base's parameters by name, as the engine holds them. They are owned here until `dispose`. */
export interface ModelWeights {
  get(name: string): FrozenWeight | Tensor;
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
  engine: Engine,
  options: LoadWeightsOptions = {},
): ModelWeights {
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
    const quantizable = options.quantization
      ? convertedWeights(description, options.quantization)
      : new Set<string>();
    const totalBytes = description.parameters.reduce(
      (sum, { name }) => sum + storedBytes(stored.get(name)),
      0,
    );
    let loadedBytes = 0;
    for (const spec of description.parameters) {
      const found = stored.get(spec.name);
      if (!found) fresh.push(spec.name);
      loaded.set(
        spec.name,
        found?.quantized
          ? // in its logical order, also where the plain checkpoint stores [in, out]: bitsandbytes turns it before
            engine.freezeQuantized(found.quantized.read())
          : freezeOne(
              spec,
              found?.source ?? freshSource(spec, options.seed ?? 0),
              engine,
              quantizable.has(spec.name) ? options.quantization : undefined,
              onHost,
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
  return {
    fresh,
    byteLength,
    dispose,
    get: (name) => loaded.get(name) ?? unknownWeight(name),
    hostValues: onHost && ((name) => onHost.get(name)),
  };
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

function unknownWeight(name: string): never {
  throw new PeftError('PEFT_PARAMETER_UNKNOWN', `the model has no parameter "${name}".`);
}
