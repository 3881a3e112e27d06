import { describe, expect, test } from 'vitest';
import { withNamedErrors, type TensorflowBinding } from './binding.js';
import { loadError } from './load-backend.js';

/** An addon whose operations fail with TensorFlow's words. */
const failing = (message: string): TensorflowBinding => {
  const fail = (): never => {
    throw new Error(message);
  };
  return withNamedErrors(
    Object.freeze({
      TF_Version: '2.21.0',
      executeOp: fail,
      createTensor: fail,
    }) as unknown as TensorflowBinding,
  );
};

describe('a failure of TensorFlow', () => {
  test('for lack of memory is PEFT_DEVICE_MEMORY and says how to need less', () => {
    const binding = failing(
      'Invalid TF_Status: 8\n' +
        'Message: OOM when allocating tensor with shape[1024,250000] and type float on GPU:0 ' +
        'by allocator GPU_0_bfc',
    );
    expect(() => binding.executeOp('MatMul', [], [], 1)).toThrow(
      expect.objectContaining({
        code: 'PEFT_DEVICE_MEMORY',
        message: expect.stringContaining(
          'memory left for MatMul: OOM when allocating tensor with shape[1024,250000]',
        ) as string,
        hint: expect.stringContaining('smaller batches') as string,
      }),
    );
    expect(() => binding.createTensor([1], 1, new Float32Array(1))).toThrow(
      expect.objectContaining({ code: 'PEFT_DEVICE_MEMORY' }),
    );
  });

  test('of another kind names the operation', () => {
    expect(() =>
      failing('Invalid TF_Status: 3\nMessage: Incompatible shapes: [2] vs. [3]').executeOp(
        'AddV2',
        [],
        [],
        1,
      ),
    ).toThrow(
      expect.objectContaining({
        code: 'PEFT_TENSORFLOW_OPERATION',
        message: 'tensorflow: AddV2 failed: Incompatible shapes: [2] vs. [3]',
      }),
    );
  });

  test('leaves the rest of the addon as it is', () =>
    expect(failing('').TF_Version).toBe('2.21.0'));
});

describe('a library that does not load', () => {
  test.each([
    [
      'libcudart.so.12: cannot open shared object file: No such file or directory',
      'PEFT_GPU_CUDA',
      'the CUDA library libcudart.so.12 was not found',
    ],
    [
      'libtensorflow_cc.so.2: cannot open shared object file: No such file or directory',
      'PEFT_TENSORFLOW_INCOMPLETE',
      'libtensorflow_cc.so.2, which',
    ],
    [
      "/lib/libc.so.6: version `GLIBC_2.34' not found (required by libtensorflow_cc.so.2)",
      'PEFT_TENSORFLOW_LOAD',
      'built for a newer system',
    ],
    ['invalid ELF header', 'PEFT_TENSORFLOW_LOAD', 'could not be loaded: invalid ELF header'],
  ])('%s', (reason, code, text) => {
    const error = loadError('tfjs_binding.node', new Error(reason));
    expect({ code: error.code, message: error.message, hint: error.hint }).toEqual({
      code,
      message: expect.stringContaining(text) as string,
      hint: expect.stringContaining('peft setup tensorflow') as string,
    });
  });
});
