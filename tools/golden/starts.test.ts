/** LoRA's starts from data against PEFT's. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describeGolden, FIXTURES } from './describe-golden.js';
import { check } from './sections/starts.js';

describeGolden(
  'starts from data agree with PEFT in matrices, ranks and the steps from there',
  'starts',
  readdirSync(join(FIXTURES, 'starts')),
  check,
);
