/** Every method of this toolkit, each under its own name. */
import { adalora } from '@peft/adalora';
import { adapter, adapterFusion } from '@peft/adapter';
import { bitfit, lnTuning } from '@peft/bitfit';
import type { AnyMethod, MethodSpec } from '@peft/core';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { deft, delora, glora, gralora, hira, lily, miss, peanut } from '@peft/low-rank';
import { loha, lokr } from '@peft/lycoris';
import { oft } from '@peft/oft';
import {
  attentionPrefix,
  embeddedPrompt,
  prefixTuning,
  promptTuning,
  pTuning,
} from '@peft/prompt-tuning';
import { reft } from '@peft/reft';
import { c3a, fourierft, waveft } from '@peft/spectral';
import { trainableTokens } from '@peft/trainable-tokens';
import { vera } from '@peft/vera';
import { fullFineTuning } from './full-fine-tuning.js';

/** A method whose options are not known at compile time: its own parser checks them. */
export type NamedMethod = AnyMethod & ((options?: never) => MethodSpec);

/**
 * The methods of this toolkit: what an adapter's folder may name. Combinations of them (MAM,
 * AutoGluon's `ia3_bias` …) are not listed, since their parts are.
 */
export const allMethods: readonly NamedMethod[] = Object.freeze([
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
  adalora,
  vera,
  loha,
  lokr,
  oft,
  miss,
  hira,
  gralora,
  delora,
  deft,
  glora,
  peanut,
  lily,
  fourierft,
  waveft,
  c3a,
  trainableTokens,
  reft,
  fullFineTuning,
]);
