/** The forms of bottleneck adapters that have names. */
import type { CommonConfig } from '@peft/core';
import { adapter } from './adapter.js';
import type { BottleneckConfig } from './bottleneck-config.js';
import { NAMED_ADAPTERS } from './named-configs.js';

type Options = Partial<BottleneckConfig> & CommonConfig;

const named =
  (name: string) =>
  (options: Options = {}): ReturnType<typeof adapter> =>
    adapter({ ...NAMED_ADAPTERS[name], ...options });

/** After the feed-forward network, 1/16 of the width (Pfeiffer et al. 2020); the default. */
export const pfeiffer = named('pfeiffer');
/** After attention and feed-forward network, swish (Houlsby et al. 2019). */
export const houlsby = named('houlsby');
/**
 * Beside the feed-forward network, half of the width, scaled by 4, nothing changes at first (He et
 * al. 2022).
 */
export const parallelAdapter = named('parallel');
/** The same with a learned scale. */
export const scaledParallelAdapter = named('scaled_parallel');
/** Kronecker products after attention and feed-forward network (Mahabadi et al. 2021). */
export const compacter = named('compacter');
/** The same after the feed-forward network alone. */
export const compacterPlusPlus = named('compacter++');
/** Pfeiffer's with an invertible adapter behind the embeddings (MAD-X, Pfeiffer et al. 2020). */
export const invertibleAdapter = named('seq_bn_inv');
/**
 * A scale per channel, stochastic depth and no norm behind (Steitz and Roth 2024); made for
 * pre-norm models.
 */
export const adapterPlus = named('adapter_plus');
