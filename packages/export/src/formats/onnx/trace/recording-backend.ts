/**
 * A tfjs backend that computes nothing and writes down what it is asked for, and the engine for
 * products with weights on it.
 */
import * as tf from '@tensorflow/tfjs';
import type { DataType, Tensor, Tensor1D, Tensor2D, TensorInfo } from '@tensorflow/tfjs';
import { onBackend, type DeviceMemory, type Engine, type FrozenWeight } from '@peft/ops';
import type { WeightParameter } from '../weights/weight-form.js';
import { ATTENTION_KERNELS } from './attention-kernels.js';
import { CHOICE_KERNELS } from './choice-kernels.js';
import { cannotRecord } from './cannot-record.js';
import { LAYER_KERNELS } from './layer-kernels.js';
import type { Recording } from './recording.js';
import { TENSOR_KERNELS } from './tensor-kernels.js';

type DataId = TensorInfo['dataId'];
type Values = Float32Array | Int32Array | Uint8Array;

const NAME = 'peft-onnx-recording';

/** Runs `body` on a backend that records; nothing of it stays. */
export function whileRecording<T>(recording: Recording, body: () => T): T {
  const kernels = {
    ...TENSOR_KERNELS,
    ...CHOICE_KERNELS,
    ...LAYER_KERNELS,
    ...ATTENTION_KERNELS,
  };
  tf.registerBackend(NAME, () => new RecordingBackend(recording), -1);
  for (const [kernelName, record] of Object.entries(kernels))
    tf.registerKernel({
      kernelName,
      backendName: NAME,
      kernelFunc: ({ inputs, attrs }) => record(recording, inputs as never, (attrs ?? {}) as never),
    });
  try {
    return onBackend(NAME, () => tf.tidy(body as () => never) as T);
  } finally {
    for (const kernelName of Object.keys(kernels)) tf.unregisterKernel(kernelName, NAME);
    tf.removeBackend(NAME);
  }
}

class RecordingBackend extends tf.KernelBackend implements DeviceMemory {
  /** There are no values to read: models go the ways that wait for none. */
  readonly hasDeviceMemory = true;
  #living = 0;

  constructor(readonly recording: Recording) {
    super();
  }

  override write(values: unknown, _shape: number[], _dtype: DataType): DataId {
    const dataId = {};
    this.recording.hold(dataId, values as Values);
    this.#living += 1;
    return dataId;
  }

  override move(): void {
    throw cannotRecord('a tensor comes from elsewhere');
  }

  override readSync(dataId: object): Values {
    return this.recording.valuesOf(dataId);
  }

  override read(dataId: object): Promise<Values> {
    return Promise.resolve(this.readSync(dataId));
  }

  override incRef(): void {
    // Every tensor has data of its own.
  }

  override disposeData(): boolean {
    this.#living -= 1;
    return true;
  }

  override numDataIds(): number {
    return this.#living;
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  override dispose(): void {
    // Nothing is held.
  }
}

/** A weight that knows where its values come from. */
export interface RecordedWeight extends FrozenWeight {
  readonly parameter: WeightParameter;
}

/** An engine on the backend that records. */
export function recordingEngine(recording: Recording): Engine {
  const made = (value: string, shape: readonly number[]): Tensor2D =>
    tf.engine().makeTensorFromTensorInfo(recording.tensor(value, shape)) as Tensor2D;
  const noValues = (): never => {
    throw cannotRecord('its forward pass reads the values of weights');
  };
  const parameterOf = (weight: FrozenWeight) => (weight as RecordedWeight).parameter;
  return {
    name: 'onnx-recording',
    backendName: NAME,
    precision: 'float32',
    description: 'records ONNX operators',
    activate: async () => void (await tf.setBackend(NAME)),
    freeze: noValues,
    freezeQuantized: noValues,
    quantizedParts: noValues,
    dequantize: noValues,
    linearInputGradient: noValues,
    linear(x: Tensor2D, weight: FrozenWeight, bias?: Tensor1D) {
      const { graph, weights } = recording;
      const [input, added] = [x, bias].map((tensor) => tensor && recording.valueOf(tensor));
      return made(weights.product(graph, input!, parameterOf(weight), added), [
        x.shape[0],
        weight.shape[0]!,
      ]);
    },
    gather(weight: FrozenWeight, ids: Int32Array) {
      const index = recording.indexOf(recording.trace.rowsOf(ids));
      return made(recording.weights.rows(recording.graph, parameterOf(weight), index), [
        ids.length,
        weight.shape[1]!,
      ]);
    },
    dispose() {
      // Nothing is held.
    },
  };
}

/** A matrix or table of the model in the recording engine's hands. */
export const recordedWeight = (engine: Engine, parameter: WeightParameter): RecordedWeight => ({
  name: parameter.name,
  shape: parameter.shape,
  format: 'f32',
  byteLength: 0,
  engine,
  isDisposed: false,
  dispose() {
    // Nothing is held.
  },
  parameter,
});

/** A vector of the model as a tensor. */
export const recordedVector = (
  recording: Recording,
  value: string,
  shape: readonly number[],
): Tensor => tf.engine().makeTensorFromTensorInfo(recording.tensor(value, shape));

/** What an encoder made, which a decoder on its own is given. */
export const memoryOf = (recording: Recording): Tensor2D =>
  tf.engine().makeTensorFromTensorInfo(recording.memory()) as Tensor2D;
