/**
 * Models against numbers of Hugging Face transformers: the golden cases, as `npm run test:golden`
 * runs them.
 */
import { describeGolden } from '../../../tools/golden/describe-golden.js';
import { check } from '../../../tools/golden/sections/models.js';
import { modelFolders } from './fixtures.js';

describeGolden(
  'models agree with transformers in states, logits, loss, gradients and greedy text',
  'models',
  modelFolders,
  check,
);
