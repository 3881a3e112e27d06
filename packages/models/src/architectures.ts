/** Every family, for `architectureFor`. */
import type { Architecture } from '@peft/core';
import { bert } from './bert.js';
import { debertaV2 } from './deberta-v2.js';
import { electra } from './electra.js';
import { roberta } from './roberta.js';
import { t5 } from './t5.js';

/** Encoders: the models of the multilingual and text presets. */
export const encoderArchitectures: readonly Architecture<never>[] = Object.freeze([bert, roberta, electra, debertaV2] as unknown as Architecture<never>[]);

export const architectures: readonly Architecture<never>[] = Object.freeze([...encoderArchitectures, t5] as unknown as Architecture<never>[]);
