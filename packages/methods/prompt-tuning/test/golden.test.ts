/**
 * Prompt methods against numbers of Hugging Face PEFT: logits, six training steps from the
 * networks' start, files.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describeGolden, FIXTURES } from '../../../../tools/golden/describe-golden.js';
import { check } from '../../../../tools/golden/sections/adapters.js';

const folders = readdirSync(join(FIXTURES, 'adapters')).filter(
  (name) =>
    existsSync(join(FIXTURES, 'adapters', name, 'train_start.safetensors')) &&
    !name.startsWith('type_'), // tools/golden/types.test.ts
);

describeGolden(
  'prompts and prefixes agree with PEFT in logits, loss, gradients, training and files',
  'adapters',
  folders,
  check,
);
