/**
 * The contract that every engine passes, in both precisions, on the library that is set up here.
 */
import { describeEngine } from '@peft/testing';
import { describe } from 'vitest';
import { createTensorflowEngine } from '@peft/tensorflow';
import { missingLibrary } from './missing-library.js';

const reason = missingLibrary();
for (const precision of ['float32', 'bfloat16'] as const) {
  if (reason)
    describe.skip(`engine contract: tensorflow in ${precision} (skipped: ${reason})`, () =>
      undefined);
  else describeEngine(`tensorflow in ${precision}`, () => createTensorflowEngine({ precision }));
}
