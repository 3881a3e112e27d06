/** The methods that a golden adapter may name. */
import type { AnyMethod } from '@peft/core';
import { adalora } from '@peft/adalora';
import { adapter, adapterFusion } from '@peft/adapter';
import { bitfit, lnTuning } from '@peft/bitfit';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import {
  attentionPrefix,
  embeddedPrompt,
  prefixTuning,
  promptTuning,
  pTuning,
} from '@peft/prompt-tuning';
import { loha, lokr } from '@peft/lycoris';
import { oft } from '@peft/oft';
import { reft } from '@peft/reft';
import { trainableTokens } from '@peft/trainable-tokens';
import { vera } from '@peft/vera';

export const methods: readonly AnyMethod[] = [
  lora,
  ia3,
  bitfit,
  lnTuning,
  adapter,
  adapterFusion,
  attentionPrefix,
  embeddedPrompt,
  prefixTuning,
  promptTuning,
  pTuning,
  reft,
  trainableTokens,
  vera,
  loha,
  lokr,
  oft,
  adalora,
];
