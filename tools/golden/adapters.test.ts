/** PEFT's adapters against its own numbers; prompt methods have theirs in @peft/prompt-tuning. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describeGolden, FIXTURES } from './describe-golden.js';
import { check } from './sections/adapters.js';

const inFolder = (name: string, file: string): boolean =>
  existsSync(join(FIXTURES, 'adapters', name, file));
const folders = readdirSync(join(FIXTURES, 'adapters')).filter(
  (name) =>
    inFolder(name, 'case.json') &&
    !inFolder(name, 'train_start.safetensors') &&
    !name.startsWith('type_'), // types.test.ts
);

describeGolden(
  'adapters agree with PEFT in logits, merged and active, loss, gradients, training and files',
  'adapters',
  folders,
  check,
);
