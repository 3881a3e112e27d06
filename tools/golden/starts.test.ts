/** LoRA's starts from data, and its updates without intruder dimensions, against PEFT's. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describeGolden, FIXTURES } from './describe-golden.js';
import { check as checkIntruders } from './sections/intruders.js';
import { check } from './sections/starts.js';

describeGolden(
  'starts from data agree with PEFT in matrices, ranks and the steps from there',
  'starts',
  readdirSync(join(FIXTURES, 'starts')),
  check,
);

describeGolden(
  'updates agree with PEFT once their intruder dimensions are reduced',
  'intruders',
  readdirSync(join(FIXTURES, 'intruders')),
  checkIntruders,
);
