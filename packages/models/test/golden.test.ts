/**
 * Models against numbers of Hugging Face transformers: the golden cases, as `npm run test:golden`
 * runs them. One of each form runs on the portable engine, the others on the native one, where it is
 * built; `PEFT_LONG_TESTS=1` runs all of them on the portable one, too.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describeGolden } from '../../../tools/golden/describe-golden.js';
import { ONE_OF_EACH_FORM } from '../../../tools/golden/sections/one-of-each-form.js';
import { check } from '../../../tools/golden/sections/models.js';
import { modelFolders } from './fixtures.js';

const ADDON = fileURLToPath(
  new URL('../../engines/native/build/Release/peft_native.node', import.meta.url),
);
const isLong = process.env['PEFT_LONG_TESTS'] === '1';
const agree = 'agree with transformers in states, logits, loss, gradients and greedy text';

describeGolden(
  `models ${agree}`,
  'models',
  modelFolders.filter((folder) => isLong || ONE_OF_EACH_FORM.has(folder)),
  check,
);

if (existsSync(ADDON))
  describeGolden(
    `models on the native engine ${agree}`,
    'models',
    modelFolders.filter((folder) => !ONE_OF_EACH_FORM.has(folder)),
    check,
    'native',
  );
