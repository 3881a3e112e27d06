/** Every family, for `architectureFor`. */
import type { Architecture } from '@peft/core';
import { bert } from './bert.js';
import { debertaV2 } from './deberta-v2.js';
import { distilbert } from './distilbert.js';
import { electra } from './electra.js';
import { gemma2 } from './gemma2.js';
import { gemma3 } from './gemma3.js';
import { gpt2 } from './gpt2.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { modernbert } from './modernbert.js';
import { phi3 } from './phi3.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';
import { roberta } from './roberta.js';
import { t5 } from './t5.js';

const list = (...families: readonly object[]): readonly Architecture<never>[] => Object.freeze(families as Architecture<never>[]);

/** Encoders: the models of the multilingual and text presets. */
export const encoderArchitectures = list(bert, roberta, electra, debertaV2, distilbert, modernbert);

export const architectures = list(...encoderArchitectures, t5, llama, mistral, qwen2, qwen3, gpt2, gemma2, gemma3, phi3);
