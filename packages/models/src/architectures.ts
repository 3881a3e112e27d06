/** Every family, for `architectureFor`. */
import type { Architecture } from '@peft/core';
import { bert } from './encoders/bert.js';
import { debertaV2 } from './encoders/deberta-v2.js';
import { distilbert } from './encoders/distilbert.js';
import { electra } from './encoders/electra.js';
import { gemma2 } from './decoders/gemma2.js';
import { gemma3 } from './decoders/gemma3.js';
import { gpt2 } from './decoders/gpt2.js';
import { llama } from './decoders/llama.js';
import { mistral } from './decoders/mistral.js';
import { modernbert } from './encoders/modernbert.js';
import { phi3 } from './decoders/phi3.js';
import { qwen2 } from './decoders/qwen2.js';
import { qwen3 } from './decoders/qwen3.js';
import { roberta } from './encoders/roberta.js';
import { t5 } from './encoder-decoders/t5.js';

const list = (...families: readonly object[]): readonly Architecture<never>[] =>
  Object.freeze(families as Architecture<never>[]);

/** Encoders: the models of the multilingual and text presets. */
export const encoderArchitectures = list(bert, roberta, electra, debertaV2, distilbert, modernbert);

export const architectures = list(
  ...encoderArchitectures,
  t5,
  llama,
  mistral,
  qwen2,
  qwen3,
  gpt2,
  gemma2,
  gemma3,
  phi3,
);
