/** The methods that a golden adapter may name. */
import type { AnyMethod } from '@peft/core';
import { adapter, adapterFusion } from '@peft/adapter';
import { bitfit, lnTuning } from '@peft/bitfit';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { loha, lokr } from '@peft/lycoris';
import { oft } from '@peft/oft';
import { trainableTokens } from '@peft/trainable-tokens';
import { vera } from '@peft/vera';

export const methods: readonly AnyMethod[] = [lora, ia3, bitfit, lnTuning, adapter, adapterFusion, trainableTokens, vera, loha, lokr, oft] as unknown as readonly AnyMethod[];
