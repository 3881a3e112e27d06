/**
 * MAM adapters (He et al. 2022, "Towards a Unified View of Parameter-Efficient Transfer Learning"):
 * a prefix beside the attentions and parallel adapters beside the feed-forward networks. A union of
 * the two, with no maths of its own.
 */
import { combineMethods, type CommonConfig, type MethodSpec, type PeftConfigs } from '@peft/core';
import { parallelAdapter } from '@peft/adapter';
import { attentionPrefix } from '@peft/prompt-tuning';

/** Options of the mix-and-match adapter's two parts. */
export interface MamOptions {
  /** Of the prefix. Default: 30 tokens, a network 800 wide. */
  readonly prefix?: Partial<PeftConfigs['attention-prefix']> & CommonConfig;
  /**
   * Of the parallel adapter. Default: half of the width, scaled by 4; the paper learns no scale.
   */
  readonly adapter?: Partial<PeftConfigs['adapter']> & CommonConfig;
}

/** @throws what the parts throw for their options. */
export const mam = ({ prefix = {}, adapter = {} }: MamOptions = {}): MethodSpec<
  'attention' | 'norm' | 'embedding' | 'sublayer'
> =>
  combineMethods(
    'mam',
    attentionPrefix({ bottleneckSize: 800, ...prefix }),
    parallelAdapter(adapter),
  );
