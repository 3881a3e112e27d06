/** The functions of tfjs-node's addon, and what a failure of TensorFlow becomes. */
import type { Tensor, TensorInfo } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';

/** A tensor in TensorFlow's hands, by number. */
export interface TensorMetadata {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;
}

export interface OpAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: boolean | number | string | readonly number[];
}

/** What the addon exports, as far as the engine uses it. */
export interface TensorflowBinding {
  readonly TF_Version: string;
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_TYPE: number;
  /** Keeps the array's memory where it is aligned to 64 bytes, else copies it. */
  createTensor(
    shape: readonly number[],
    type: number,
    values: Uint8Array | Float32Array | Int32Array,
  ): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
  executeOp(
    name: string,
    attributes: readonly OpAttribute[],
    inputs: readonly number[],
    outputs: number,
  ): TensorMetadata[];
  isUsingGpuDevice(): boolean;
  /** Tensors that live, those of tfjs included. */
  getNumOfTensors(): number;
}

/** tfjs-node's backend, as far as the engine uses it. */
export interface TensorflowBackend {
  binding: TensorflowBinding;
  readonly isUsingGpuDevice: boolean;
  /** Numbers of tfjs tensors; values that are still in JavaScript are handed over now. */
  getInputTensorIds(tensors: readonly TensorInfo[]): number[];
  /** A tfjs tensor that owns the number. */
  createOutputTensor(metadata: TensorMetadata): Tensor;
}

/** Element types by TensorFlow's numbers. */
export const TYPE = Object.freeze({
  float32: 1,
  int32: 3,
  uint8: 4,
  int8: 6,
  bool: 10,
  bfloat16: 14,
  float16: 19,
} as const);

/** The same functions, with failures that say what to do. */
export function withNamedErrors(binding: TensorflowBinding): TensorflowBinding {
  const named =
    <A extends readonly unknown[], R>(run: (...args: A) => R, ownerOf: (args: A) => string) =>
    (...args: A): R => {
      try {
        return run(...args);
      } catch (error) {
        throw namedError(ownerOf(args), error as Error);
      }
    };
  return Object.create(binding, {
    executeOp: { value: named(binding.executeOp.bind(binding), ([name]) => name) },
    createTensor: { value: named(binding.createTensor.bind(binding), () => 'a new tensor') },
  }) as TensorflowBinding;
}

function namedError(operation: string, cause: Error): PeftError {
  const [reason = cause.message] = /Message: ([\s\S]*)/.exec(cause.message)?.slice(1) ?? [];
  const [line = ''] = reason.trim().split('\n');
  if (/TF_Status: 8\b|OOM when allocating|RESOURCE_EXHAUSTED|out of memory/i.test(cause.message)) {
    return new PeftError(
      'PEFT_DEVICE_MEMORY',
      `tensorflow: the device has no memory left for ${operation}: ${line}`,
      {
        hint:
          'use smaller batches (env.per_gpu_batch_size) or shorter texts, turn gradient ' +
          'checkpointing on, or quantise the base model; nvidia-smi shows who else uses the ' +
          'card',
        cause,
      },
    );
  }
  return new PeftError(
    'PEFT_TENSORFLOW_OPERATION',
    `tensorflow: ${operation} failed: ${line || cause.message}`,
    { cause },
  );
}
