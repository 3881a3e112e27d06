/**
 * UniPELT (Mao et al. 2022): a prefix, a bottleneck adapter and LoRA at once, each with a gate per
 * sequence that decides how much of it is used. A union of the three, with no maths of its own.
 */
import { combineMethods, type CommonConfig, type MethodSpec, type PeftConfigs } from '@peft/core';
import { pfeiffer } from '@peft/adapter';
import { lora as loraMethod } from '@peft/lora';
import { attentionPrefix } from '@peft/prompt-tuning';

/** Options of UniPELT's three parts. */
export interface UniPeltOptions {
  /** Of the prefix. Default: 10 tokens, a network 512 wide, a gate. */
  readonly prefix?: Partial<PeftConfigs['attention-prefix']> & CommonConfig;
  /** Of the adapter behind the feed-forward network. Default: 1/16 of the width, a gate. */
  readonly adapter?: Partial<PeftConfigs['adapter']> & CommonConfig;
  /** Of LoRA on queries and values. Default: rank 8, a gate. */
  readonly lora?: Partial<PeftConfigs['lora']> & CommonConfig;
}

/** @throws what the parts throw for their options. */
export const unipelt = ({ prefix = {}, adapter = {}, lora = {} }: UniPeltOptions = {}): MethodSpec<
  'attention' | 'linear' | 'norm' | 'embedding' | 'sublayer'
> =>
  combineMethods(
    'unipelt',
    attentionPrefix({ prefixLength: 10, useGating: true, ...prefix }),
    pfeiffer({ useGating: true, ...adapter }),
    loraMethod({ rank: 8, alpha: 2, gating: true, ...lora }),
  );
