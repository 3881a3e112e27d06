/**
 * What the methods that put virtual tokens in front of the sequences share: which stacks get them,
 * and PEFT's words for the model.
 */
import type {
  AttachContext,
  AttentionSite,
  ModelDescription,
  SequenceSite,
  Site,
  TargetSelection,
} from '@peft/core';
import { gatherRows } from '@peft/ops';
import type { Tensor2D } from '@tensorflow/tfjs';

/** The first stack: of an encoder-decoder the encoder, as in PEFT. */
export const tokenTargets = ({ sites }: ModelDescription): TargetSelection => ({
  targets: sites
    .filter(({ kind }) => kind === 'sequence')
    .slice(0, 1)
    .map(({ path }) => path),
});

const sequenceSites = (sites: readonly Site[]): SequenceSite[] =>
  sites.filter((site) => site.kind === 'sequence');

/** How many virtual tokens there are. */
export interface TokenCounts {
  /** P. */
  readonly virtualTokens: number;
  /**
   * Stacks that the table has rows for, where a file says so. Default: what PEFT makes for the
   * model.
   */
  readonly stacks?: number;
}

/**
 * Stacks that PEFT makes rows for; of a model that makes text from text, two, although only the
 * encoder's are read.
 */
const stacksOf = (
  { description, sites }: Pick<AttachContext, 'description' | 'sites'>,
  { stacks }: TokenCounts,
): number =>
  stacks ?? (description.head.kind === 'seq2seq-lm' ? 2 : Math.max(1, sequenceSites(sites).length));

/** Rows of the whole table. */
export const totalTokens = (
  context: Pick<AttachContext, 'description' | 'sites'>,
  counts: TokenCounts,
): number => counts.virtualTokens * stacksOf(context, counts);

/** The number of stacks that a file names. */
export const stacksIn = (json: Readonly<Record<string, unknown>>): Pick<TokenCounts, 'stacks'> =>
  typeof json['num_transformer_submodules'] === 'number'
    ? { stacks: json['num_transformer_submodules'] }
    : {};

/** A stack's own rows `[P, D]` of the table `[P·stacks, D]`, the encoder's first. */
export function ownRows(
  table: Tensor2D,
  site: { readonly path: string },
  context: Pick<AttachContext, 'sites'>,
  virtualTokens: number,
): Tensor2D {
  if (table.shape[0] === virtualTokens) return table;
  const first =
    virtualTokens * sequenceSites(context.sites).findIndex(({ path }) => path === site.path);
  return gatherRows(
    table,
    Int32Array.from({ length: virtualTokens }, (_, p) => first + p),
  );
}

/**
 * What every config of PEFT's prompt methods says about the model.
 * @param width of a virtual token;
 * @param heads where not the model's
 */
export function peftModelWords(
  context: { readonly description: ModelDescription; readonly sites: readonly Site[] },
  counts: TokenCounts,
  width: number,
  heads?: number,
): Record<string, unknown> {
  const { description } = context;
  const attention = description.sites.find(
    (site): site is AttentionSite => site.kind === 'attention',
  );
  return {
    num_virtual_tokens: counts.virtualTokens,
    token_dim: width,
    num_transformer_submodules: stacksOf(context, counts),
    num_attention_heads: heads ?? attention?.heads ?? null,
    num_layers: description.layers.encoder || description.layers.decoder,
  };
}
