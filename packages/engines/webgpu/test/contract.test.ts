import { describeEngine } from '@peft/testing';
import { describe, test } from 'vitest';
import { createWebgpuEngine } from '../src/index.js';
import { useSoftwareDriver } from '../../../../tools/test-setup/software-vulkan.js';

const missing = useSoftwareDriver();
if (missing) describe.skip(`engine contract: webgpu (skipped: ${missing})`, () => test('skipped'));
else describeEngine('webgpu', () => createWebgpuEngine());
