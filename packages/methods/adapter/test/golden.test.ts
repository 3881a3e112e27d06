/**
 * adapter-hub's adapters against numbers of the library itself: logits, six training steps, files.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describeGolden, FIXTURES } from '../../../../tools/golden/describe-golden.js';
import { check } from '../../../../tools/golden/sections/bottleneck.js';

const folders = readdirSync(join(FIXTURES, 'bottleneck')).filter((name) =>
  existsSync(join(FIXTURES, 'bottleneck', name, 'case.json')),
);

describeGolden(
  'adapters agree with adapter-hub in logits, loss, gradients, training and files',
  'bottleneck',
  folders,
  check,
);
