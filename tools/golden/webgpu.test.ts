/**
 * Golden models on the WebGPU engine: a model with relative positions, one that decodes and one that
 * does both; all of them with PEFT_LONG_TESTS.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'vitest';
import { useSoftwareDriver } from '../test-setup/software-vulkan.js';
import { describeGolden, FIXTURES } from './describe-golden.js';
import { check } from './sections/models.js';

const TITLE = 'models agree with transformers on the WebGPU engine';
const missing = useSoftwareDriver();
const models = process.env['PEFT_LONG_TESTS']
  ? readdirSync(join(FIXTURES, 'models')).filter((name) => !name.endsWith('.json'))
  : ['deberta-v2', 'llama', 't5'];

if (missing) describe.skip(`${TITLE} (skipped: ${missing})`, () => test('needs a driver'));
else describeGolden(TITLE, 'models', models, check, 'webgpu');
