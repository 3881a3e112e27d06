/** The methods that a golden adapter may name. */
import type { AnyMethod } from '@peft/core';
import { bitfit, lnTuning } from '@peft/bitfit';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';

export const methods: readonly AnyMethod[] = [lora, ia3, bitfit, lnTuning] as unknown as readonly AnyMethod[];
