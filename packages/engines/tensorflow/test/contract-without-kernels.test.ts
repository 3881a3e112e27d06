/**
 * The contract with TensorFlow's own operations alone, as on a GPU, where this package's kernels do
 * not serve.
 */
import { describeEngine } from '@peft/testing';
import { describe, expect, test } from 'vitest';
import { createTensorflowEngine } from '@peft/tensorflow';
import { missingLibrary } from './missing-library.js';

const reason = missingLibrary();
const create = (precision: 'float32' | 'bfloat16') =>
  createTensorflowEngine({ precision, fusedKernels: false });
for (const precision of ['float32', 'bfloat16'] as const) {
  if (reason)
    describe.skip(`engine contract: tensorflow without kernels of its own in ${precision} (skipped: ${reason})`, () =>
      undefined);
  else
    describeEngine(`tensorflow without kernels of its own in ${precision}`, () =>
      create(precision),
    );
}

test.skipIf(reason)('what the library was loaded with cannot be changed', async () => {
  const engine = await create('float32');
  expect(engine.linearActivated).toBeUndefined();
  await expect(createTensorflowEngine({ fusedKernels: true })).rejects.toMatchObject({
    code: 'PEFT_CONFIG_INVALID',
    message: expect.stringContaining('fusedKernels is true') as string,
  });
});
