/**
 * Bottleneck adapters as a method: which branches they take, and their options in adapter-hub's
 * words.
 */
import {
  adapterHubFormat,
  definePeftMethod,
  type AttachContext,
  type ModelDescription,
  type SiteHandle,
  type SublayerSite,
  type TargetSelection,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { fromHubConfig, toHubConfig } from './bottleneck-hub-config.js';
import { parseBottleneckConfig, type BottleneckConfig } from './bottleneck-config.js';
import { blockNumber, bottleneckSublayer } from './bottleneck-sublayer.js';
import { couplingBlock, embeddingEnd } from './invertible.js';

declare module '@peft/core' {
  interface PeftConfigs {
    adapter: BottleneckConfig;
  }
}

/**
 * The bottleneck adapter, by default adapter-hub's `seq_bn` (Pfeiffer et al. 2020); see `houlsby`,
 * `parallelAdapter`, `compacter` and their like for the other named forms.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY, PEFT_ACTIVATION_UNKNOWN
 */
export const adapter = definePeftMethod({
  name: 'adapter',
  formula: 'h = h + U·f(D·h), D narrows, U widens',
  paper: {
    title: 'Parameter-Efficient Transfer Learning for NLP',
    url: 'https://arxiv.org/abs/1902.00751',
  },
  parseConfig: parseBottleneckConfig,
  defaultTargets: (description, config): TargetSelection => ({
    targets: targetsOf(description, config),
  }),

  attach: {
    sublayer(site, config, context) {
      requireInvertible(config, context);
      return bottleneckSublayer(site, config, context);
    },
    norm(site, config, context) {
      const block = invertibleAt(site, config, context);
      return { forward: (x, base) => block(base(x)) };
    },
    embedding(site, config, context) {
      const block = invertibleAt(site, config, context);
      return { forward: (ids, base) => block(base(ids)) };
    },
  },

  format: adapterHubFormat,
  adapterHub: { toConfig: toHubConfig, fromConfig: fromHubConfig, key: hubKey },
});

/**
 * Paths of the branches that the options ask for, and of the embeddings' end for an invertible
 * adapter.
 */
function targetsOf(description: ModelDescription, config: BottleneckConfig): string[] {
  const wanted: Readonly<Record<SublayerSite['branch'], boolean>> = {
    attention: config.mhAdapter,
    ffn: config.outputAdapter,
    'cross-attention': config.crossAdapter,
  };
  const branches = description.sites.filter(
    (site): site is SublayerSite =>
      site.kind === 'sublayer' &&
      wanted[site.branch] &&
      !config.leaveOut.includes(blockNumber(site, { description })),
  );
  const end = config.invAdapter === null ? undefined : embeddingEnd(description);
  return [...branches.map(({ path }) => path), ...(end === undefined ? [] : [end])];
}

/**
 * @throws PEFT_METHOD_UNSUPPORTED where the embeddings' end is taken out of the default targets, so
 *   that the invertible adapter would be left out without a word
 */
function requireInvertible(
  { invAdapter }: BottleneckConfig,
  { description, sites, targets }: AttachContext,
): void {
  const end = invAdapter === null || targets !== undefined ? undefined : embeddingEnd(description);
  if (end === undefined || sites.some(({ path }) => path === end)) return;
  throw new PeftError(
    'PEFT_METHOD_UNSUPPORTED',
    `adapter: ${end}, behind which an invertible adapter stands, trains whole or is left out.`,
    {
      hint:
        'take another bottleneck adapter where the vocabulary grew or modulesToSave names the ' +
        'embedding, and neither excludeModules nor layersToTransform with an invertible one',
    },
  );
}

function invertibleAt(
  site: SiteHandle<'norm' | 'embedding'>,
  config: BottleneckConfig,
  context: AttachContext,
): ReturnType<typeof couplingBlock> {
  if (config.invAdapter === null)
    throw new PeftError('PEFT_METHOD_UNSUPPORTED', `adapter: ${site.path} is no residual branch.`, {
      hint: "name sublayers as targets, or ask for an invertible adapter with invAdapter: 'nice'",
    });
  return couplingBlock(site.size, config, context);
}

/** A norm in front is the first module of the down-projection. */
function hubKey(name: string): string {
  return /^(shared_parameters|invertible_adapters)\./.test(name)
    ? name.replace('.', '.*.')
    : `adapters.*.${name.replace('adapter_norm_before.', 'adapter_down.0.')}`;
}
