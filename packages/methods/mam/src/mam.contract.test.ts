import { adapter } from '@peft/adapter';
import type { AnyMethod } from '@peft/core';
import { lora } from '@peft/lora';
import { attentionPrefix } from '@peft/prompt-tuning';
import { describePeftMethod } from '@peft/testing';
import { mam } from './mam.js';
import { unipelt } from './unipelt.js';

const methods = [attentionPrefix, adapter, lora] as unknown as readonly AnyMethod[];
const prefix = { prefixLength: 2, bottleneckSize: 4 };

describePeftMethod(
  adapter,
  [{ title: 'MAM', identityAtStart: false, merges: false, mixes: false }],
  { methods, spec: () => mam({ prefix, adapter: { reductionFactor: 3 } }) },
);

describePeftMethod(
  lora,
  [{ title: 'UniPELT', identityAtStart: false, merges: false, mixes: false }],
  { methods, spec: () => unipelt({ prefix, adapter: { reductionFactor: 3 }, lora: { rank: 2 } }) },
);
