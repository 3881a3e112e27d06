/** Every family, for `architectureFor`. */
import type { Architecture } from '@peft/core';
import { bert } from './bert.js';
import { debertaV2 } from './deberta-v2.js';
import { electra } from './electra.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';
import { roberta } from './roberta.js';
import { t5 } from './t5.js';

/** Encoders: the models of the multilingual and text presets. */
export const encoderArchitectures: readonly Architecture<never>[] = Object.freeze([bert, roberta, electra, debertaV2] as unknown as Architecture<never>[]);

export const architectures: readonly Architecture<never>[] = Object.freeze([...encoderArchitectures, t5, llama, mistral, qwen2, qwen3] as unknown as Architecture<never>[]);
