import { describeEngine } from '@peft/testing';
import { createNativeEngine } from '../src/index.js';

for (const precision of ['float32', 'bfloat16'] as const)
  describeEngine(`native, ${precision}`, () => createNativeEngine({ precision }));
