/** Every method of this toolkit, each under its own name. */
import { adalora } from '@peft/adalora';
import { adapter, adapterFusion } from '@peft/adapter';
import { beft, bitfit, lnTuning } from '@peft/bitfit';
import type { AnyMethod, MethodSpec } from '@peft/core';
import { ia3 } from '@peft/ia3';
import { lora, xlora } from '@peft/lora';
import {
  adamss,
  deft,
  delora,
  glora,
  gralora,
  hira,
  lily,
  miss,
  peanut,
  poly,
} from '@peft/low-rank';
import { loha, lokr } from '@peft/lycoris';
import { boft, hra, oft, osf, psoft, road } from '@peft/oft';
import {
  adaptionPrompt,
  attentionPrefix,
  cartridge,
  cpt,
  embeddedPrompt,
  multitaskPromptTuning,
  prefixTuning,
  promptTuning,
  pTuning,
} from '@peft/prompt-tuning';
import { reft } from '@peft/reft';
import { controlnet, ladder, shadow } from '@peft/side';
import { frod, shira, supertuning } from '@peft/sparse';
import { c3a, fourierft, waveft } from '@peft/spectral';
import { trainableTokens } from '@peft/trainable-tokens';
import { pvera, randlora, tinylora, unilora, vblora, vera } from '@peft/vera';
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
  multitaskPromptTuning,
  pTuning,
  adaptionPrompt,
  cartridge,
  cpt,
  adalora,
  vera,
  pvera,
  randlora,
  vblora,
  tinylora,
  unilora,
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
  poly,
  xlora,
  adamss,
  fourierft,
  waveft,
  c3a,
  hra,
  road,
  boft,
  psoft,
  osf,
  shira,
  supertuning,
  frod,
  beft,
  trainableTokens,
  reft,
  ladder,
  controlnet,
  shadow,
  fullFineTuning,
]);
