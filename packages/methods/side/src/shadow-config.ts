/** Options of Shadow, and what PEFT's config calls them. */
import { optionTable, type AdapterShapes, type PeftConfigContext } from '@peft/core';
import { check, PeftError, show } from '@peft/errors';

/** Options of a shadow network. */
export interface ShadowConfig {
  /** r: width of the bottleneck through which the shadow enters. Default 8. */
  readonly rank: number;
  /** α: how strongly it enters. Default 0.1. */
  readonly alpha: number;
  /** Share of the difference between state and shadow that training drops, in [0, 1). Default 0.2. */
  readonly dropout: number;
  /** W_up starts at zero, so that a fresh shadow changes nothing. `false`: at random. Default true. */
  readonly initWeights: boolean;
  /** Blocks of the shadow network. Default 1. */
  readonly shadowLayers: number | undefined;
  /** It reads the base's word embeddings; `false`: a table of its own. Default true. */
  readonly shareEmbeddings: boolean;
  /** Hidden width of the networks T and G. Default: the rank. */
  readonly updateSize: number | undefined;
  /** λ: how much the shadow network's own loss counts in that of a language model. Default 0.05. */
  readonly auxiliaryLossWeight: number;
  /** Blocks, from 0 and without a gap, that it enters. Default `all`. */
  readonly blocks: 'all' | readonly number[];
}

declare module '@peft/core' {
  interface PeftConfigs {
    shadow: ShadowConfig;
  }
}

const table = optionTable<ShadowConfig>(
  'shadow',
  {
    rank: { default: 8, is: 'positiveInteger', peft: 'r' },
    alpha: { default: 0.1, is: 'finite', peft: 'shadow_alpha' },
    dropout: { default: 0.2, is: 'probability', peft: 'shadow_dropout' },
    initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
    shadowLayers: { default: undefined, is: 'positiveInteger', peft: 'shadow_num_hidden_layers' },
    shareEmbeddings: { default: true, is: 'boolean', peft: 'share_embeddings' },
    updateSize: { default: undefined, is: 'positiveInteger', peft: 'update_hidden_size' },
    auxiliaryLossWeight: { default: 0.05, is: checkWeight, peft: 'auxiliary_loss_weight' },
    blocks: { default: 'all', is: checkBlocks },
  },
  {
    fixed: {
      shadow_model: 'mirror',
      shadow_hidden_size: null,
      shadow_num_attention_heads: null,
      shadow_intermediate_size: null,
    },
  },
);

export const { options, parseConfig } = table;

/** PEFT targets the blocks themselves. */
export const toPeftConfig = (
  config: ShadowConfig,
  context: PeftConfigContext,
): Record<string, unknown> => ({
  ...table.toPeftConfig(config, context),
  target_modules: context.sites.flatMap(({ kind, path, ...site }) =>
    kind === 'stack' && 'blocks' in site
      ? blocksOf(config, site.blocks).map((block) => `${path}.${block}`)
      : [],
  ),
  exclude_modules: null,
  layers_to_transform: null,
  layers_pattern: null,
});

/** Which blocks it enters tells the file, whatever a pattern in the config means. */
export function fromPeftConfig(
  json: Readonly<Record<string, unknown>>,
  shapes: AdapterShapes = new Map(),
): Partial<ShadowConfig> {
  const blocks = [...shapes.keys()].flatMap((key) => {
    const found = /\.(\d+)\.shadow_down\./.exec(key);
    return found ? [Number(found[1])] : [];
  });
  return {
    ...table.fromPeftConfig(json),
    ...(blocks.length > 0 && { blocks: blocks.sort((a, b) => a - b) }),
  };
}

/** Numbers of the blocks of a stack that it enters. @throws PEFT_TARGET_NOT_FOUND */
export function blocksOf({ blocks }: ShadowConfig, count: number): readonly number[] {
  if (blocks === 'all') return [...Array(count).keys()];
  const outside = blocks.find((block) => block >= count);
  if (outside !== undefined)
    throw new PeftError(
      'PEFT_TARGET_NOT_FOUND',
      `shadow: blocks: there is no block ${outside}, the model has ${count}.`,
      { hint: 'blocks count from 0' },
    );
  return blocks;
}

function checkBlocks(owner: string, field: string, value: unknown): void {
  if (value === 'all') return;
  const isList = Array.isArray(value) && value.length > 0;
  for (const block of isList ? value : []) check.nonNegativeInteger(owner, field, block);
  const numbers = value as readonly number[];
  if (!isList || numbers.some((block, i) => block !== numbers[0]! + i))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: ${field} must be 'all' or numbers of blocks, one behind the other, got ${show(value)}.`,
    );
}

function checkWeight(owner: string, field: string, value: unknown): void {
  check.finite(owner, field, value);
  if (value < 0)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: ${field} must be at least 0, got ${value}.`,
    );
}
